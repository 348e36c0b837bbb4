//! A name server of the tests, in this process: every A question is answered
//! by the table, everything else with no data.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What it answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lead {
    To(Ipv4Addr),
    NxDomain,
    ServFail,
    Silence,
}

type Table = Arc<Mutex<Box<dyn Fn(&str) -> Lead + Send>>>;

pub struct Dns {
    pub at: SocketAddr,
    table: Table,
    stop: Arc<AtomicBool>,
}

impl Dns {
    /// Answers on a free port of loopback.
    pub fn start(table: impl Fn(&str) -> Lead + Send + 'static) -> Dns {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let at = socket.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let table: Table = Arc::new(Mutex::new(Box::new(table)));
        let (s, t) = (stop.clone(), table.clone());
        std::thread::spawn(move || {
            let mut buf = [0_u8; 1500];
            while !s.load(Ordering::Relaxed) {
                let Ok((len, from)) = socket.recv_from(&mut buf) else { continue };
                if let Some(answer) = answer(&buf[..len], &t) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Dns { at, table, stop }
    }

    /// Answers otherwise from now on.
    pub fn now(&self, table: impl Fn(&str) -> Lead + Send + 'static) {
        *self.table.lock().unwrap() = Box::new(table);
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn answer(query: &[u8], table: &Table) -> Option<Vec<u8>> {
    let mut at = 12;
    let mut name = String::new();
    loop {
        let len = usize::from(*query.get(at)?);
        at += 1;
        if len == 0 {
            break;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(&String::from_utf8_lossy(query.get(at..at + len)?).to_lowercase());
        at += len;
    }
    let kind = u16::from_be_bytes([*query.get(at)?, *query.get(at + 1)?]);
    let question = query.get(12..at + 4)?;
    let (rcode, address) = match (table.lock().unwrap())(&name) {
        Lead::Silence => return None,
        Lead::NxDomain => (3, None),
        Lead::ServFail => (2, None),
        Lead::To(ip) => (0, (kind == 1).then_some(ip)),
    };
    let mut out = query.get(..2)?.to_vec();
    out.extend([0x81, 0x80 | rcode, 0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
    out.extend(question);
    if let Some(ip) = address {
        out.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        out.extend(ip.octets());
    }
    Some(out)
}
