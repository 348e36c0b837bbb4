//! Places that are never opened, whatever includes them (contract-details
//! Q26). The unit's InaccessiblePaths says the same once more; this holds in a
//! one-off audit too.

/// Whether a folded path inside the root (a folder: with its final slash) is
/// a place for secrets.
pub(super) fn is_secret(path: &[u8]) -> bool {
    const FILES: &[&[u8]] = &[b"/etc/shadow", b"/etc/gshadow"];
    const FOLDERS: &[&[u8]] = &[
        b"/etc/ssh/",
        b"/etc/ssl/private/",
        b"/etc/pki/tls/private/",
        b"/etc/letsencrypt/keys/",
        b"/var/lib/mysql/",
        b"/var/lib/mysql-files/",
        b"/var/lib/mysql-keyring/",
        b"/var/lib/mariadb/",
        b"/var/lib/postgresql/",
        b"/var/lib/pgsql/",
        b"/var/lib/mongodb/",
        b"/var/lib/mongo/",
        b"/var/lib/redis/",
        b"/var/lib/clickhouse/",
        b"/var/lib/elasticsearch/",
        b"/www/server/data/",
        b"/www/server/pgsql/data/",
        b"/www/server/mongodb/data/",
        b"/usr/local/mysql/data/",
        b"/usr/local/mysql/var/",
    ];
    if FILES.iter().any(|f| path.starts_with(f)) || FOLDERS.iter().any(|f| path.starts_with(f)) {
        return true;
    }
    let mut parts = path.split(|&b| b == b'/').rev();
    let name = parts.next().unwrap_or_default();
    name.ends_with(b".key")
        || (name.starts_with(b"privkey") && name.ends_with(b".pem"))
        || parts.any(|c| c == b".ssh")
}

/// Whether a file is a private key by its first line, whatever it is called.
pub(super) fn looks_like_a_key(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(96)];
    start.starts_with(b"-----BEGIN ")
        && start.split(|&b| b == b'\n').next().is_some_and(|l| l.windows(11).any(|w| w == b"PRIVATE KEY"))
}
