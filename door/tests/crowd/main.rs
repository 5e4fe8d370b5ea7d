//! Two thousand callers that want nothing. This program has one test, so that its memory is that of
//! the crowd.

#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "../it/world.rs"]
mod world;

use countersign_door::Limits;
use rustix::process::{Resource, getrlimit};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use world::*;

const CROWD: usize = 2000;
/// Both ends are in this process: two sockets' buffers, two TLS connections, and HTTP.
const MOST_BYTES: usize = 128 * 1024;

/// Memory in use, in bytes (`proc_pid_statm(5)`).
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_slow_callers_cost_little_and_keep_nobody_out() {
    countersign_door::take_all_descriptors();
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // Each has two, and the door takes half.
    let crowd = CROWD.min(usize::try_from(descriptors / 4).unwrap());
    let house = House::open(Limits {
        connections: crowd,
        ..limits()
    })
    .await;
    house.is_open().await;
    let before = resident();
    let mut silent = Vec::new();
    let mut greeted = Vec::new();
    for number in 0..crowd {
        match number % 4 {
            0 => silent.push(TcpStream::connect(house.address).await.unwrap()),
            1 => {
                let mut stream = TcpStream::connect(house.address).await.unwrap();
                stream.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
                silent.push(stream);
            }
            2 => {
                let mut stream = house.dial(&[H1]).await;
                stream.write_all(b"GET / HTTP/1.1\r\nho").await.unwrap();
                greeted.push(stream);
            }
            _ => greeted.push(by_hand(&house, &[]).await),
        }
    }
    let each = resident().saturating_sub(before) / crowd;
    assert!(each < MOST_BYTES, "{each} bytes for each of {crowd}");
    for _ in 0..20 {
        house.is_open().await;
    }
    drop((silent, greeted));
}
