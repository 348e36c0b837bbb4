//! Which version a tree was written for, where no installed server tells it.
//!
//! 2.4 counts unless the tree shows that 2.4 could not start with it: modules
//! and directives that 2.4 dropped, and none of those that came with it. What
//! stands in `<IfVersion>` tells nothing.

use super::directive::Directive;

/// Modules that ended with 2.2 (2.4's documentation, "Upgrading to 2.4 from
/// 2.2", and its list of modules).
const ENDED: &[&[u8]] = &[
    b"authn_alias_module",
    b"authn_default_module",
    b"authz_default_module",
    b"disk_cache_module",
    b"mem_cache_module",
];

/// Modules that came with 2.3 or 2.4, one of which every 2.4 has.
const CAME: &[&[u8]] = &[
    b"access_compat_module",
    b"authn_core_module",
    b"authz_core_module",
    b"cache_disk_module",
    b"slotmem_shm_module",
    b"unixd_module",
    b"watchdog_module",
];

/// What was seen so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    ended: bool,
    came: bool,
    authz_host: bool,
    name_virtual_host: bool,
}

impl Evidence {
    /// What was seen elsewhere counts too.
    pub fn add(&mut self, other: Evidence) {
        self.ended |= other.ended;
        self.came |= other.came;
        self.authz_host |= other.authz_host;
        self.name_virtual_host |= other.name_virtual_host;
    }

    /// As a small number, and back.
    pub fn bits(self) -> u64 {
        let Evidence { ended, came, authz_host, name_virtual_host } = self;
        u64::from(ended)
            | u64::from(came) << 1
            | u64::from(authz_host) << 2
            | u64::from(name_virtual_host) << 3
    }

    pub fn from_bits(n: u64) -> Evidence {
        let bit = |i: u64| n >> i & 1 == 1;
        Evidence { ended: bit(0), came: bit(1), authz_host: bit(2), name_virtual_host: bit(3) }
    }

    /// A module is loaded.
    pub fn module(&mut self, name: &[u8]) {
        self.ended |= ENDED.contains(&name);
        self.came |= CAME.contains(&name)
            || [&b"mpm_"[..], b"socache_", b"lbmethod_"].iter().any(|p| name.starts_with(p));
        self.authz_host |= name == b"authz_host_module";
    }

    /// Whether a directive can tell anything.
    pub fn interests(d: Directive) -> bool {
        matches!(
            d,
            Directive::AcceptMutex
                | Directive::IncludeOptional
                | Directive::LockFile
                | Directive::NameVirtualHost
                | Directive::Require
                | Directive::RewriteLock
                | Directive::SslMutex
        )
    }

    /// A directive outside of `<IfVersion>`, with its first argument.
    pub fn directive(&mut self, d: Directive, first: &[u8]) {
        match d {
            // Replaced by Mutex in 2.4, which refuses them.
            Directive::AcceptMutex | Directive::LockFile | Directive::SslMutex | Directive::RewriteLock => {
                self.ended = true;
            }
            Directive::NameVirtualHost => self.name_virtual_host = true,
            Directive::IncludeOptional => self.came = true,
            Directive::Require => self.came |= first.eq_ignore_ascii_case(b"all"),
            _ => {}
        }
    }

    /// A section that came with 2.4.
    pub fn new_section(&mut self) {
        self.came = true;
    }

    /// Whether the tree is clearly one of 2.2. (2.4's mod_authz_host is
    /// useless without mod_authz_core.)
    pub fn is_old(&self) -> bool {
        !self.came && (self.ended || (self.authz_host && self.name_virtual_host))
    }
}
