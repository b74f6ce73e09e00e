//! What a static Zig program does: files, directories, threads, a child. Prints the same
//! every time. Its calls are `syscall` instructions of the standard library, in line.
const std = @import("std");

fn add(sum: *std.atomic.Value(usize), n: usize) void {
    for (0..1000) |i| _ = sum.fetchAdd(i * n, .monotonic);
}

pub fn main() !void {
    const out = std.io.getStdOut().writer();
    const cwd = std.fs.cwd();
    try cwd.makePath("zig/inner");
    try cwd.writeFile(.{ .sub_path = "zig/inner/text", .data = "forty-two\n" });
    var buffer: [64]u8 = undefined;
    const text = try cwd.readFile("zig/inner/text", &buffer);
    try out.print("read {s}", .{text});
    const stat = try cwd.statFile("zig/inner/text");
    try out.print("size {d} kind {s}\n", .{ stat.size, @tagName(stat.kind) });
    var dir = try cwd.openDir("zig", .{ .iterate = true });
    defer dir.close();
    var entries = dir.iterate();
    while (try entries.next()) |entry| try out.print("entry {s}\n", .{entry.name});
    if (cwd.openFile("/nowhere", .{})) |_| return error.Unexpected else |e| {
        try out.print("error {s}\n", .{@errorName(e)});
    }
    if (cwd.openFile("/proc/self/status", .{})) |file| {
        const read = try file.read(&buffer);
        try out.print("status {}\n", .{read > 0});
    } else |_| {}
    var sum = std.atomic.Value(usize).init(0);
    if (!@import("builtin").single_threaded) {
        var threads: [4]std.Thread = undefined;
        for (&threads, 1..) |*thread, n| thread.* = try std.Thread.spawn(.{}, add, .{ &sum, n });
        for (threads) |thread| thread.join();
    }
    try out.print("sum {d}\n", .{sum.load(.monotonic)});
    const pid = try std.posix.fork();
    if (pid == 0) std.posix.exit(7);
    const ended = std.posix.waitpid(pid, 0);
    try out.print("child {d}\n", .{std.posix.W.EXITSTATUS(ended.status)});
    try cwd.deleteTree("zig");
}
