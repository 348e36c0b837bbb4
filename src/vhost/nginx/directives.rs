//! What each directive means, by the block that it stands in.

use super::lua::LuaEnd;
use super::*;

/// Directives that take no block. Where a semicolon is forgotten, such a
/// directive swallows the next one; its words up to the end of its own line
/// are then taken for the directive and the rest for the next.
const SIMPLE: &[&[u8]] = &[
    b"access_log",
    b"add_header",
    b"charset",
    b"client_max_body_size",
    b"default_type",
    b"error_log",
    b"error_page",
    b"expires",
    b"fastcgi_pass",
    b"include",
    b"index",
    b"listen",
    b"proxy_pass",
    b"proxy_set_header",
    b"return",
    b"rewrite",
    b"root",
    b"server_name",
    b"ssl_certificate",
    b"ssl_certificate_key",
    b"ssl_ciphers",
    b"ssl_protocols",
    b"try_files",
];

fn is_simple(name: &[u8]) -> bool {
    SIMPLE.binary_search(&name).is_ok()
}

/// One directive as it stands in a file.
#[derive(Clone, Copy)]
struct Directive<'b> {
    bytes: &'b [u8],
    name: &'b [u8],
    args: &'b [Word],
    line: u32,
    end: End,
}

impl<'b> Directive<'b> {
    fn arg(&self, n: usize) -> Option<Cow<'b, [u8]>> {
        self.args.get(n).map(|w| w.text(self.bytes))
    }

    /// Whether the first argument is `on`.
    fn is_on(&self) -> bool {
        self.arg(0).is_some_and(|v| v.eq_ignore_ascii_case(b"on"))
    }
}

impl Reader<'_> {
    /// One statement; after a forgotten semicolon one after the other.
    pub(super) fn statement(&mut self, bytes: &[u8], mut words: &[Word], end: End, cursor: &mut Cursor) {
        while let Some((first, rest)) = words.split_first() {
            let name = first.text(bytes);
            let split = if end == End::Block && is_simple(&name) {
                rest.iter().position(|w| w.line > first.line)
            } else if name == b"listen".as_slice() {
                rest.iter().position(|w| w.line > first.line && is_simple(&w.text(bytes)))
            } else {
                None
            };
            let Some(split) = split else { break };
            let (now, later) = words.split_at(split + 1);
            self.complain(ProblemKind::Syntax, first.line, "a directive is not terminated by \";\"");
            // An include is not followed: its file would come before the
            // words that are already here.
            if name != b"include".as_slice() {
                self.directive(bytes, now, End::Semicolon, cursor);
            }
            words = later;
        }
        self.directive(bytes, words, end, cursor);
    }

    fn directive(&mut self, bytes: &[u8], words: &[Word], end: End, cursor: &mut Cursor) {
        let Some((first, args)) = words.split_first() else {
            if end == End::Block {
                self.enter(Kind::Other, cursor.line);
            }
            return;
        };
        let name = first.text(bytes);
        let d = Directive { bytes, name: &name, args, line: first.line, end };
        if self.surplus > 0 {
            if end == End::Block {
                self.block(d, cursor, Kind::Other);
            }
            return;
        }
        if end == End::Block && d.name == b"server_name" && unquoted_brace(bytes, words, cursor) {
            let message = "an unquoted \"{\" in a regular expression; nginx takes it for a block";
            self.complain(ProblemKind::Syntax, d.line, message);
            let whole = args.split_last().map_or(args, |(_, whole)| whole);
            return self.in_server(Directive { args: whole, end: End::Semicolon, ..d }, cursor);
        }
        if end == End::Block && is_simple(d.name) {
            let message = "a directive that takes no block opens one; it is skipped";
            self.complain(ProblemKind::Syntax, d.line, message);
            return self.enter(Kind::Other, d.line);
        }
        match self.blocks.last().map(|b| b.kind) {
            None => self.at_http(d, cursor, None),
            Some(Kind::Http(scope)) => self.at_http(d, cursor, Some(scope)),
            Some(Kind::Server(_) | Kind::Location(_) | Kind::If | Kind::Inner) => self.in_server(d, cursor),
            Some(kind @ (Kind::Other | Kind::Table)) => {
                if end == End::Block {
                    self.block(d, cursor, kind);
                } else if d.name == b"include" && kind == Kind::Other {
                    self.include_args(d);
                }
            }
        }
    }

    fn include_args(&mut self, d: Directive<'_>) {
        match d.args {
            [path] => self.include(&path.text(d.bytes), d.line),
            _ => self.complain(ProblemKind::Syntax, d.line, "\"include\" takes one file name"),
        }
    }

    /// Opens a block about which nothing more is known than its name.
    fn block(&mut self, d: Directive<'_>, cursor: &mut Cursor, kind: Kind) {
        let Directive { bytes, name, line, .. } = d;
        if name.ends_with(b"_by_lua_block") {
            match lua::skip_block(bytes, cursor) {
                LuaEnd::Closed => {}
                LuaEnd::OpenBracket => {
                    self.complain(ProblemKind::Syntax, line, "a long bracket in a Lua block is not closed");
                }
                LuaEnd::EndOfFile => {
                    let message = "a Lua block that the file does not close";
                    self.complain(ProblemKind::UnclosedBlock, line, message);
                }
            }
            return;
        }
        let table =
            matches!(name, b"map" | b"geo" | b"types" | b"split_clients" | b"charset_map" | b"geoip2");
        self.enter(if table { Kind::Table } else { kind }, line);
    }

    /// At the top of the main file (`None`) or in `http`.
    fn at_http(&mut self, d: Directive<'_>, cursor: &mut Cursor, scope: Option<usize>) {
        let Directive { name, args, line, end, .. } = d;
        if end == End::Block {
            match name {
                b"http" => {
                    self.http_seen = true;
                    self.writes += 1;
                    let scope = self.scopes.len();
                    if self.blocks.len() < BLOCKS_LIMIT {
                        self.scopes.push(Scope::default());
                    }
                    self.enter(Kind::Http(scope), line);
                }
                b"server" => self.open_server(args, line, scope),
                _ => {
                    self.lua_at_http(name, scope);
                    self.block(d, cursor, Kind::Other);
                }
            }
            return;
        }
        match name {
            b"include" => self.include_args(d),
            b"http" | b"server" => {
                self.complain(ProblemKind::Syntax, line, "\"server\" or \"http\" without a block");
            }
            b"root" | b"ssl_certificate" | b"ssl_sign_certificate" | b"ssl_enc_certificate" => {
                let Some(value) = d.arg(0) else { return };
                if value.starts_with(b"data:") {
                    return;
                }
                let Some(value) = self.keep(&value, line) else { return };
                let Some(scope) = self.scope_mut(scope) else { return };
                if name == b"root" {
                    scope.root.get_or_insert(value);
                } else {
                    server::add(&mut scope.certificates, value);
                }
            }
            b"ssl" | b"ssl_reject_handshake" => {
                let on = d.is_on();
                let Some(scope) = self.scope_mut(scope) else { return };
                if name == b"ssl" { scope.ssl = on } else { scope.reject_handshake = on }
            }
            b"error_page" => {
                if let Some(scope) = self.scope_mut(scope) {
                    scope.error_page = true;
                }
            }
            _ => self.lua_at_http(name, scope),
        }
    }

    fn lua_at_http(&mut self, name: &[u8], scope: Option<usize>) {
        if lua_phase(name) == Some(Phase::Routes)
            && let Some(scope) = self.scope_mut(scope)
        {
            scope.lua = true;
        }
    }

    /// The values that servers inherit, to be changed.
    fn scope_mut(&mut self, scope: Option<usize>) -> Option<&mut Scope> {
        self.writes += 1;
        self.scopes.get_mut(scope.unwrap_or(0))
    }

    fn open_server(&mut self, args: &[Word], line: u32, scope: Option<usize>) {
        if !args.is_empty() {
            self.complain(ProblemKind::Syntax, line, "\"server\" takes no arguments");
        }
        let path = decode(&fold(self.path()));
        if self.blocks.len() >= BLOCKS_LIMIT || !self.room_below(KEEP_LIMIT, SITE_COST + path.len(), line) {
            return self.enter(Kind::Other, line);
        }
        let site = Site::new(facts::Server::Nginx, path, line);
        let number = self.servers.len();
        self.servers.push(Server::new(site, scope.unwrap_or(0), scope.is_none()));
        self.open_servers.push(number);
        self.enter(Kind::Server(number), line);
    }

    fn in_server(&mut self, d: Directive<'_>, cursor: &mut Cursor) {
        let Directive { bytes, name, args, line, end } = d;
        let direct = matches!(self.blocks.last().map(|b| b.kind), Some(Kind::Server(_)));
        match lua_phase(name) {
            Some(Phase::Routes) => {
                if let Some(s) = self.server_mut() {
                    s.flow.lua = true;
                }
            }
            Some(Phase::Access) => {
                if let Some(s) = self.server_mut() {
                    s.flow.access_lua = true;
                }
            }
            None => {}
        }
        if end == End::Block {
            return self.block_in_server(d, cursor, direct);
        }
        match name {
            b"include" => self.include_args(d),
            b"server_name" if direct => self.server_name(bytes, args, line),
            b"listen" if direct => self.listen(bytes, args, line),
            b"proxy_pass" | b"fastcgi_pass" | b"uwsgi_pass" | b"scgi_pass" | b"grpc_pass" => {
                self.upstream(d);
            }
            b"return" => {
                let args: Vec<_> = args.iter().take(3).map(|w| w.text(bytes)).collect();
                let args: Vec<&[u8]> = args.iter().map(|a| &**a).collect();
                self.answer(server::return_answer(&args), line);
            }
            b"rewrite" => {
                let args: Vec<_> = args.iter().take(4).map(|w| w.text(bytes)).collect();
                let args: Vec<&[u8]> = args.iter().map(|a| &**a).collect();
                self.answer(server::rewrite_answer(&args), line);
            }
            b"break" => self.answer(Answer::Content, line),
            b"root" | b"ssl_certificate" | b"ssl_sign_certificate" | b"ssl_enc_certificate" if direct => {
                let Some(value) = d.arg(0) else { return };
                // A certificate written out in place is nobody's business.
                if value.starts_with(b"data:") {
                    return;
                }
                let Some(value) = self.keep(&value, line) else { return };
                let Some(server) = self.server_mut() else { return };
                if name == b"root" {
                    server.site.root.get_or_insert(value);
                } else {
                    server::add(&mut server.site.certificates, value);
                }
            }
            b"ssl" | b"ssl_reject_handshake" if direct => {
                let on = d.is_on();
                let Some(flow) = self.server_mut().map(|s| &mut s.flow) else { return };
                if name == b"ssl" { flow.ssl = Some(on) } else { flow.reject_handshake = Some(on) }
            }
            b"error_page" | b"allow" | b"deny" => {
                let all = d.arg(0).is_some_and(|v| &*v == b"all");
                let Some(flow) = self.server_mut().map(|s| &mut s.flow) else { return };
                match name {
                    b"error_page" => flow.error_page = true,
                    b"allow" => flow.allow = true,
                    _ => flow.deny_all |= direct && all,
                }
            }
            // `satisfy any` lets others in than `deny` turns away.
            b"satisfy" => {
                if let Some(s) = self.server_mut() {
                    s.flow.allow = true;
                }
            }
            _ => {}
        }
    }

    fn block_in_server(&mut self, d: Directive<'_>, cursor: &mut Cursor, direct: bool) {
        let Directive { bytes, name, args, line, .. } = d;
        match name {
            b"server" => {
                // Most likely the server above was not closed: nginx refuses
                // the file, but what it says of both is plain.
                self.complain(ProblemKind::Syntax, line, "\"server\" stands inside another \"server\"");
                let scope = self.server_mut().filter(|s| !s.loose).map(|s| s.scope);
                self.open_server(args, line, scope);
            }
            b"location" => {
                let place = match args {
                    [path] => place(&path.text(bytes)),
                    [how, path] if matches!(&*how.text(bytes), b"^~" | b"=") => {
                        match place(&path.text(bytes)) {
                            Place::Root if &*how.text(bytes) == b"=" => Place::Elsewhere,
                            place => place,
                        }
                    }
                    _ => Place::Elsewhere,
                };
                let place = if place == Place::Root && !direct { Place::Elsewhere } else { place };
                self.enter(Kind::Location(place), line);
            }
            b"if" if direct => self.enter(Kind::If, line),
            b"limit_except" => self.enter(Kind::Inner, line),
            _ => {
                if name == b"if" {
                    self.set_outcome(Outcome::Answers);
                } else if !name.ends_with(b"_by_lua_block")
                    && name != b"types"
                    && let Some(s) = self.server_mut()
                {
                    s.flow.unknown_block = true;
                }
                self.block(d, cursor, Kind::Inner);
            }
        }
    }

    /// Notes what the current block does first.
    fn set_outcome(&mut self, outcome: Outcome) -> bool {
        match self.blocks.last_mut() {
            Some(block) if block.outcome == Outcome::Open => {
                block.outcome = outcome;
                true
            }
            _ => false,
        }
    }

    /// A `return`, `rewrite` or `break` in the current block.
    fn answer(&mut self, answer: Answer, line: u32) {
        if let Answer::Redirect(target) = &answer
            && !self.room(target.len(), line)
        {
            return;
        }
        let outcome = match answer {
            Answer::Redirect(_) => Outcome::Redirects,
            Answer::Refuse(_) => Outcome::Refuses,
            Answer::Content => Outcome::Answers,
        };
        if !self.set_outcome(outcome) {
            return;
        }
        let kind = self.blocks.last().map(|b| b.kind);
        let Some(flow) = self.server_mut().map(|s| &mut s.flow) else { return };
        match (kind, answer) {
            (Some(Kind::Server(_)), answer) => flow.at_server(answer),
            (Some(Kind::If), answer) => flow.within_if(answer),
            (Some(Kind::Location(Place::Root)), Answer::Redirect(target)) => {
                flow.root_redirect = Some(target)
            }
            (Some(Kind::Location(Place::Root)), Answer::Refuse(close)) => flow.root_refuses = Some(close),
            _ => {}
        }
    }

    fn server_name(&mut self, bytes: &[u8], args: &[Word], line: u32) {
        if args.is_empty() {
            self.complain(ProblemKind::Syntax, line, "\"server_name\" without a name");
        }
        for word in args {
            let name = word.text(bytes);
            if !server::can_be_name(&name) {
                let message = "\"server_name\" has an argument that can be no name";
                self.complain(ProblemKind::NotAName, word.line, message);
                continue;
            }
            if name.contains(&b'$') && name.first() != Some(&b'~') {
                // nginx knows `$hostname` alone, and only on the machine.
                let message = "a variable in \"server_name\"; it is kept as written";
                self.complain(ProblemKind::UnresolvedVariable, word.line, message);
            }
            let Some(name) = self.keep(&name, line) else { return };
            if let Some(server) = self.server_mut() {
                server.add_name(name);
            }
        }
    }

    fn listen(&mut self, bytes: &[u8], args: &[Word], line: u32) {
        let Some((target, flags)) = args.split_first() else {
            return self.complain(ProblemKind::Syntax, line, "\"listen\" without an address or port");
        };
        let target = target.text(bytes);
        if !self.room(2 * target.len() + LISTEN_COST, line) {
            return;
        }
        let (mut listen, valid) = Listen::parse(&target, line);
        if target.contains(&b'$') {
            let message = "a variable in \"listen\"; it is kept as written";
            self.complain(ProblemKind::UnresolvedVariable, line, message);
        } else if !valid {
            self.complain(ProblemKind::Syntax, line, "\"listen\" has no valid address or port");
        }
        for flag in flags {
            listen.flag(&flag.text(bytes));
        }
        let Some(server) = self.server_mut() else { return };
        server.listens.push(listen);
    }

    fn upstream(&mut self, d: Directive<'_>) {
        let Some(target) = d.arg(0) else { return };
        let scheme: &[u8] = match d.name {
            b"fastcgi_pass" => b"fastcgi://",
            b"uwsgi_pass" => b"uwsgi://",
            b"scgi_pass" => b"scgi://",
            b"grpc_pass" => b"grpc://",
            _ => b"",
        };
        let has_scheme = target.windows(3).any(|w| w == b"://");
        let url = if has_scheme { target.into_owned() } else { [scheme, &target].concat() };
        let Some(url) = self.keep(&url, d.line) else { return };
        if let Some(server) = self.server_mut() {
            server::add(&mut server.site.upstream, url);
        }
    }
}

/// Whether the `{` just read stands within a regex that somebody forgot to
/// quote; then moves past the directive.
fn unquoted_brace(bytes: &[u8], words: &[Word], cursor: &mut Cursor) -> bool {
    let Some(last) = words.last() else { return false };
    if !last.touches(cursor.pos.saturating_sub(1)) || last.text(bytes).first() != Some(&b'~') {
        return false;
    }
    let rest = bytes.get(cursor.pos..).unwrap_or_default();
    match rest.iter().position(|b| matches!(b, b';' | b'\n')) {
        Some(n) if rest.get(n) == Some(&b';') => cursor.pos += n + 1,
        Some(n) => cursor.pos += n,
        None => cursor.pos = bytes.len(),
    }
    true
}

fn place(path: &[u8]) -> Place {
    match path {
        b"/" | b"^~/" => Place::Root,
        _ if path.starts_with(b"/.well-known/") => Place::WellKnown,
        _ => Place::Elsewhere,
    }
}

/// Lua that may route requests by their host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Routes,
    /// Firewalls live here, so it counts only beside an upstream that is
    /// written with a variable.
    Access,
}

fn lua_phase(name: &[u8]) -> Option<Phase> {
    let name = name.strip_suffix(b"_block").or_else(|| name.strip_suffix(b"_file")).unwrap_or(name);
    match name {
        b"content_by_lua" | b"rewrite_by_lua" | b"server_rewrite_by_lua" => Some(Phase::Routes),
        b"access_by_lua" => Some(Phase::Access),
        _ => None,
    }
}
