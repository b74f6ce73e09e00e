//! What a static Rust program asks of the kernel through its standard library.
//! Prints the same in every run.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio, exit};
use std::sync::{Arc, Barrier, Condvar, Mutex, RwLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

fn main() -> io::Result<()> {
    if let Some(word) = std::env::args().nth(1) {
        return child(&word);
    }
    // The usual message names the thread by its number, which differs.
    std::panic::set_hook(Box::new(|info| eprintln!("panicked: {:?}", info.payload_as_str())));
    files()?;
    children()?;
    threads();
    network()?;
    let caught = std::panic::catch_unwind(|| {
        let _file = File::open("/proc/self/status").map(|f| f.metadata());
        panic!("unwound through");
    });
    println!("panic caught: {}", caught.is_err());
    eprintln!("and one line of errors");
    exit(29)
}

fn child(word: &str) -> io::Result<()> {
    match word {
        "echo" => {
            for line in io::stdin().lock().lines() {
                println!("{}", line?.to_uppercase());
            }
            exit(3)
        }
        "abort" => std::process::abort(),
        "exec" => Err(Command::new("/proc/self/exe").arg("echo").stdin(Stdio::null()).exec()),
        _ => exit(4),
    }
}

fn files() -> io::Result<()> {
    println!("# files");
    fs::create_dir_all("deep/er/and/deeper")?;
    let mut file = OpenOptions::new().read(true).write(true).create(true).open("deep/file")?;
    file.write_all(b"0123456789")?;
    file.seek(SeekFrom::Start(3))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    file.write_at(b"abc", 1)?;
    println!("{text} {:?} {}", fs::read_to_string("deep/file")?, file.metadata()?.len());
    fs::set_permissions("deep/file", fs::Permissions::from_mode(0o600))?;
    println!("{:o}", fs::metadata("deep/file")?.mode());
    symlink("file", "deep/link")?;
    println!("{:?} {}", fs::read_link("deep/link")?, fs::copy("deep/link", "deep/copy")?);
    fs::rename("deep/copy", "deep/er/moved")?;
    fs::hard_link("deep/file", "deep/hard")?;
    let names: BTreeSet<_> = fs::read_dir("deep")?.flatten().map(|e| e.file_name()).collect();
    println!("{names:?}");
    for path in ["/none", "/proc/self/mem/x", "deep/\0"] {
        println!("{path:?}: {:?}", File::open(path).map(drop).map_err(|e| e.kind()));
    }
    println!("{:?}", fs::remove_dir("deep").map_err(|e| e.kind()));
    fs::remove_dir_all("deep")?;
    println!("{:?}", fs::metadata("deep").map(drop).map_err(|e| e.kind() == ErrorKind::NotFound));
    let kernel = fs::read_to_string("/proc/sys/kernel/ostype")?;
    println!("{kernel:?} {}", fs::canonicalize("/proc/self/cwd")? == std::env::current_dir()?);
    Ok(())
}

fn children() -> io::Result<()> {
    println!("# children");
    let mut echo = Command::new("/proc/self/exe")
        .arg("echo")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    echo.stdin.take().expect("piped").write_all(b"one\ntwo\n")?;
    let output = echo.wait_with_output()?;
    println!("{:?} {:?}", output.status.code(), String::from_utf8_lossy(&output.stdout));
    println!("{:?}", Command::new("/proc/self/exe").arg("abort").status()?.signal());
    println!("{:?}", Command::new("/proc/self/exe").arg("exec").status()?.code());
    println!("{:?}", Command::new("/none/program").status().map_err(|e| e.kind()));
    // A closure before exec makes the standard library fork instead of spawning.
    // SAFETY: the closure makes no call that a forked child must not make.
    let forked = unsafe { Command::new("/proc/self/exe").arg("x").pre_exec(|| Ok(())).status()? };
    println!("{:?}", forked.code());
    let mut sleeps = Command::new("sleep").arg("30").spawn()?;
    println!("{:?}", sleeps.try_wait()?);
    sleeps.kill()?;
    println!("{:?}", sleeps.wait()?.signal());
    let many: Vec<_> = (0..20)
        .map(|_| thread::spawn(|| Command::new("/proc/self/exe").arg("x").status().unwrap().code()))
        .collect();
    println!("{:?}", many.into_iter().map(|t| t.join().unwrap()).collect::<BTreeSet<_>>());
    Ok(())
}

fn threads() {
    println!("# threads");
    let total = Arc::new(Mutex::new(0u64));
    let table = Arc::new(RwLock::new(vec![0u64; 8]));
    let barrier = Arc::new(Barrier::new(8));
    let all: Vec<_> = (0..8)
        .map(|n| {
            let (total, table, barrier) = (total.clone(), table.clone(), barrier.clone());
            thread::spawn(move || {
                barrier.wait();
                for _ in 0..1000 {
                    *total.lock().unwrap() += 1;
                    table.write().unwrap()[n] += 1;
                    let _ = fs::metadata("/none");
                }
            })
        })
        .collect();
    all.into_iter().for_each(|t| t.join().unwrap());
    println!("{} {:?}", total.lock().unwrap(), table.read().unwrap());
    let (tx, rx) = mpsc::channel();
    for n in 0..50u64 {
        let tx = tx.clone();
        thread::Builder::new().stack_size(32 * 1024).spawn(move || tx.send(n * n)).unwrap();
    }
    drop(tx);
    println!("{}", rx.iter().sum::<u64>());
    let pair = (Mutex::new(()), Condvar::new());
    let start = Instant::now();
    let (_guard, late) =
        pair.1.wait_timeout(pair.0.lock().unwrap(), Duration::from_millis(30)).unwrap();
    println!("{} {}", late.timed_out(), start.elapsed() >= Duration::from_millis(30));
    thread::sleep(Duration::from_millis(5));
    let panicked = thread::spawn(|| panic!("in a thread")).join();
    println!("{}", panicked.is_err());
}

fn network() -> io::Result<()> {
    println!("# network");
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = thread::spawn(move || -> io::Result<u64> {
        let (stream, _) = listener.accept()?;
        io::copy(&mut &stream, &mut &stream)
    });
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"there and back\n")?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    println!("{line:?} {}", server.join().unwrap()?);
    let udp = UdpSocket::bind("127.0.0.1:0")?;
    udp.set_read_timeout(Some(Duration::from_millis(20)))?;
    println!("{:?}", udp.recv(&mut [0; 8]).map_err(|e| e.kind()));
    println!("{:?}", TcpStream::connect("127.0.0.1:1").map(drop).map_err(|e| e.kind()));
    let (mut one, mut two) = UnixStream::pair()?;
    one.write_all(b"pair")?;
    let mut four = [0; 4];
    two.read_exact(&mut four)?;
    println!("{}", String::from_utf8_lossy(&four));
    Ok(())
}
