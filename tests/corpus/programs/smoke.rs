//! What a static Rust program does: files, directories, threads, sockets, a
//! child. Prints the same every time.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc;
use std::{fs, thread};

fn main() {
    fs::create_dir_all("rust/inner").expect("the folder is writable");
    fs::write("rust/inner/text", "forty-two\n").expect("the folder is writable");
    print!("read {}", fs::read_to_string("rust/inner/text").expect("just written"));
    for entry in fs::read_dir("rust").expect("just made") {
        println!("entry {:?}", entry.expect("just made").file_name());
    }
    println!("error {}", fs::read("/nowhere").expect_err("it is not there"));
    println!("status {}", fs::read("/proc/self/status").is_ok());
    let (sender, receiver) = mpsc::channel();
    for n in 1..=8u64 {
        let sender = sender.clone();
        thread::spawn(move || sender.send((0..1000).map(|i| i * n).sum::<u64>()));
    }
    drop(sender);
    println!("sum {}", receiver.iter().sum::<u64>());
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let address = listener.local_addr().expect("just bound");
    let client = thread::spawn(move || {
        let mut stream = TcpStream::connect(address).expect("it is listened to");
        stream.write_all(b"over loopback").expect("it is read");
    });
    let mut text = String::new();
    listener.accept().expect("it connects").0.read_to_string(&mut text).expect("it is text");
    client.join().expect("it does not panic");
    println!("socket {text}");
    let child = Command::new("/bin/sh").args(["-c", "echo child; exit 7"]).output();
    let child = child.expect("there is a shell");
    println!("{:?} {:?}", String::from_utf8_lossy(&child.stdout), child.status.code());
    std::panic::set_hook(Box::new(|_| println!("unwinding")));
    let caught = std::panic::catch_unwind(|| fs::read("/nowhere").expect("caught"));
    println!("panic {}", caught.is_err());
    fs::remove_dir_all("rust").expect("just made");
}
