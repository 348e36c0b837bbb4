//! One question at a time: servers in turn, tries, TCP where UDP stays
//! silent, and a gate that a dead resolver closes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::{DnsRequestOptions, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};
use tokio::sync::{Mutex, Semaphore};

use super::chain::{self, Found, Reading};

/// Why a question stayed without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    ServFail,
    Refused,
    FormErr,
    NotImp,
    /// Another response code.
    Rejected,
    Timeout,
    /// An answer that is none to the question, or no DNS message.
    Malformed,
    /// The server answers with a referral: it is no resolver.
    NoRecursion,
    /// No connection to the server.
    Unreachable,
    /// The chain leads back into itself.
    Loop,
    /// The chain is longer than resolvers follow.
    TooLong,
}

impl Failure {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Failure::ServFail => "servfail",
            Failure::Refused => "refused",
            Failure::FormErr => "formerr",
            Failure::NotImp => "notimp",
            Failure::Rejected => "rejected",
            Failure::Timeout => "timeout",
            Failure::Malformed => "malformed",
            Failure::NoRecursion => "no_recursion",
            Failure::Unreachable => "unreachable",
            Failure::Loop => "cname_loop",
            Failure::TooLong => "cname_too_long",
        }
    }
}

/// hickory gives a TCP connection up when more are in flight on it.
const TCP_IN_FLIGHT: usize = 32;
/// More servers than resolv.conf(5) uses are not asked.
const MAX_SERVERS: usize = 3;
/// How many hops are asked for one by one, beyond what one answer holds.
pub(super) const MAX_HOPS: usize = 16;
/// After so many questions in a row without any answer, the resolver is
/// probed before the next one.
const SILENT: usize = 64;
/// A resolver that is taken for dead is probed no more often.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// After so many answers over TCP that UDP did not give, UDP comes second.
const TCP_FIRST: usize = 4;
/// Pause before a server that failed is asked again.
const PAUSE: Duration = Duration::from_millis(30);

type Pool = NameServerPool<TokioRuntimeProvider>;

struct Server {
    udp: Pool,
    tcp: Pool,
    /// hickory refuses what goes over its bound; this makes them wait instead.
    tcp_slots: Semaphore,
}

/// Asks questions.
pub(super) struct Asker {
    servers: Vec<Server>,
    attempts: usize,
    /// The server that answered last.
    preferred: AtomicUsize,
    /// Questions in a row that nobody answered.
    silent: AtomicUsize,
    /// Whether UDP ever gave an answer, and how often TCP had to.
    udp_works: AtomicBool,
    tcp_needed: AtomicUsize,
    /// When the last probe failed.
    probe: Mutex<Option<Instant>>,
}

impl Asker {
    pub(super) fn new(servers: &[SocketAddr], timeout: Duration, attempts: usize) -> anyhow::Result<Asker> {
        // Without servers: the machine itself, as resolv.conf(5) has it.
        let local = [SocketAddr::from(([127, 0, 0, 1], 53))];
        let servers = if servers.is_empty() { &local } else { servers };
        let servers = servers
            .iter()
            .take(MAX_SERVERS)
            .map(|s| {
                Ok(Server {
                    udp: pool(*s, timeout, &[ConnectionConfig::udp(), ConnectionConfig::tcp()])?,
                    tcp: pool(*s, timeout, &[ConnectionConfig::tcp()])?,
                    tcp_slots: Semaphore::new(TCP_IN_FLIGHT / 2),
                })
            })
            .collect::<anyhow::Result<Vec<Server>>>()?;
        Ok(Asker {
            servers,
            attempts: attempts.max(1),
            preferred: AtomicUsize::new(0),
            silent: AtomicUsize::new(0),
            udp_works: AtomicBool::new(false),
            tcp_needed: AtomicUsize::new(0),
            probe: Mutex::new(None),
        })
    }

    /// The whole chain of a name with the addresses at its end.
    pub(super) async fn addresses(&self, name: &Name, kind: RecordType) -> (Reading, Option<Failure>) {
        let mut all = Reading { found: Found::NoData, chain: Vec::new(), addresses: Vec::new(), ttl: None };
        let mut at = name.clone();
        for _ in 0..=MAX_HOPS {
            let part = match self.question(&at, kind).await {
                Ok(part) => part,
                Err(failure) => return (all, Some(failure)),
            };
            all.ttl = match (all.ttl, part.ttl) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            let known = |n: &Name| n == name || all.chain.contains(n);
            let looped = part.found == Found::Loop || part.chain.iter().any(known);
            all.chain.extend(part.chain);
            all.addresses = part.addresses;
            all.found = part.found;
            if looped {
                return (all, Some(Failure::Loop));
            }
            match (all.found, all.chain.last()) {
                (Found::Chain, Some(last)) => at = last.clone(),
                _ => return (all, None),
            }
        }
        (all, Some(Failure::TooLong))
    }

    /// One question until it is answered or all tries are used up.
    pub(super) async fn question(&self, name: &Name, kind: RecordType) -> Result<Reading, Failure> {
        if self.silent.load(Ordering::Relaxed) >= SILENT && !self.answers_again().await {
            return Err(Failure::Timeout);
        }
        let result = self.tries(name, kind).await;
        match result {
            Err(Failure::Timeout | Failure::Unreachable) => {
                self.silent.fetch_add(1, Ordering::Relaxed);
            }
            _ => self.silent.store(0, Ordering::Relaxed),
        }
        result
    }

    async fn tries(&self, name: &Name, kind: RecordType) -> Result<Reading, Failure> {
        let first = self.preferred.load(Ordering::Relaxed);
        let count = self.servers.len();
        let mut last = Failure::Unreachable;
        let mut edns = true;
        for round in 0..self.attempts {
            for i in 0..count {
                let n = (first + i) % count;
                let Some(server) = self.servers.get(n) else { continue };
                match self.once(server, name, kind, edns, round > 0 && last == Failure::Timeout).await {
                    Ok(reading) => {
                        if n != first {
                            self.preferred.store(n, Ordering::Relaxed);
                        }
                        return Ok(reading);
                    }
                    Err(failure) => last = failure,
                }
                // Old servers and some middle boxes know no EDNS (RFC 6891, 7).
                edns = edns && !matches!(last, Failure::FormErr | Failure::NotImp);
                if last != Failure::Timeout && (round + 1 < self.attempts || i + 1 < count) {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        Err(last)
    }

    /// One try: over UDP, TCP on truncation; over TCP at once where UDP was
    /// silent before, and over UDP after all where TCP is closed.
    async fn once(
        &self,
        server: &Server,
        name: &Name,
        kind: RecordType,
        edns: bool,
        silent: bool,
    ) -> Result<Reading, Failure> {
        let udp_works = self.udp_works.load(Ordering::Relaxed);
        let tcp = silent || (!udp_works && self.tcp_needed.load(Ordering::Relaxed) >= TCP_FIRST);
        if tcp {
            let slot = server.tcp_slots.acquire().await;
            let got = send(&server.tcp, name, kind, edns).await;
            drop(slot);
            match got {
                Err(Failure::Unreachable) => {}
                Ok(reading) => {
                    self.tcp_needed.fetch_add(1, Ordering::Relaxed);
                    return Ok(reading);
                }
                other => return other,
            }
        }
        let got = send(&server.udp, name, kind, edns).await;
        if !udp_works && !matches!(got, Err(Failure::Timeout | Failure::Unreachable)) {
            self.udp_works.store(true, Ordering::Relaxed);
        }
        got
    }

    /// Whether any server answers anything: the root is in every cache. Many
    /// silent names in a row may share one dead name server of their own, and
    /// that must not keep the next names from being asked. One probe at a
    /// time, and not more than one a second; in between questions fail at
    /// once, so that a dead resolver costs a pass seconds, not hours.
    async fn answers_again(&self) -> bool {
        let mut failed = self.probe.lock().await;
        if self.silent.load(Ordering::Relaxed) < SILENT {
            return true;
        }
        if failed.is_some_and(|at| at.elapsed() < PROBE_EVERY) {
            return false;
        }
        for server in &self.servers {
            let got = send(&server.udp, &Name::root(), RecordType::NS, true).await;
            if !matches!(got, Err(Failure::Timeout | Failure::Unreachable)) {
                self.silent.store(0, Ordering::Relaxed);
                *failed = None;
                return true;
            }
        }
        *failed = Some(Instant::now());
        false
    }
}

fn pool(server: SocketAddr, timeout: Duration, connections: &[ConnectionConfig]) -> anyhow::Result<Pool> {
    let mut options = ResolverOpts::default();
    options.timeout = timeout;
    options.attempts = 0;
    options.cache_size = 0;
    options.edns0 = true;
    options.use_hosts_file = ResolveHosts::Never;
    options.max_active_requests = TCP_IN_FLIGHT;
    let connections = connections
        .iter()
        .map(|c| {
            let mut c = c.clone();
            c.port = server.port();
            c
        })
        .collect();
    let config = NameServerConfig::new(server.ip(), true, connections);
    let context = Arc::new(PoolContext::new(options, TlsConfig::new()?));
    Ok(NameServerPool::from_config([config], context, TokioRuntimeProvider::default()))
}

async fn send(pool: &Pool, name: &Name, kind: RecordType, edns: bool) -> Result<Reading, Failure> {
    let mut options = DnsRequestOptions::default();
    options.use_edns = edns;
    let mut waited = 0;
    loop {
        let query = Query::query(name.clone(), kind);
        let error = match pool.lookup(query, options).first_answer().await {
            Ok(message) => {
                let reading = chain::read(&message, name, kind);
                return match (message.response_code, reading.found) {
                    (_, Found::Foreign) => Err(Failure::Malformed),
                    (_, Found::Referral) => Err(Failure::NoRecursion),
                    (ResponseCode::NoError | ResponseCode::NXDomain, _) => Ok(reading),
                    (code, _) => Err(of_code(code)),
                };
            }
            Err(error) => error,
        };
        match error {
            // A bound of ours, never the name's fault.
            NetError::Busy if waited < 100 => {
                waited += 1;
                tokio::time::sleep(PAUSE).await;
            }
            error => return of_error(error),
        }
    }
}

fn of_error(error: NetError) -> Result<Reading, Failure> {
    let absent = |found, ttl| Ok(Reading { found, chain: Vec::new(), addresses: Vec::new(), ttl });
    match error {
        NetError::Dns(DnsError::NoRecordsFound(NoRecords {
            response_code, soa, ns, negative_ttl, ..
        })) => match response_code {
            ResponseCode::NXDomain => absent(Found::NxDomain, negative_ttl),
            ResponseCode::NoError if soa.is_none() && ns.is_some() => Err(Failure::NoRecursion),
            ResponseCode::NoError => absent(Found::NoData, negative_ttl),
            code => Err(of_code(code)),
        },
        NetError::Dns(DnsError::ResponseCode(code)) => Err(of_code(code)),
        NetError::Timeout | NetError::Busy => Err(Failure::Timeout),
        NetError::Io(e) if e.kind() == std::io::ErrorKind::TimedOut => Err(Failure::Timeout),
        NetError::Io(_) | NetError::NoConnections => Err(Failure::Unreachable),
        _ => Err(Failure::Malformed),
    }
}

fn of_code(code: ResponseCode) -> Failure {
    match code {
        ResponseCode::ServFail => Failure::ServFail,
        ResponseCode::Refused => Failure::Refused,
        ResponseCode::FormErr => Failure::FormErr,
        ResponseCode::NotImp => Failure::NotImp,
        _ => Failure::Rejected,
    }
}
