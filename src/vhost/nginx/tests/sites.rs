//! What sites are made of.

use super::*;
use crate::facts::Unbounded;

#[test]
fn a_bare_server_has_nginxs_own_defaults() {
    let s = site("");
    assert_eq!(s.names, [""]);
    assert_eq!(s.listen, ["*:80"]);
    assert_eq!(s.default, ["*:80"]);
    assert_eq!(s.implicit_default, ["*:80"]);
    assert_eq!((s.root, s.redirect, s.line), (None, None, 3));
    assert!(s.upstream.is_empty() && s.certificates.is_empty() && s.refuses.is_empty());
}

#[test]
fn names_add_up_each_once_in_order_as_written() {
    let s = site(
        "server_name B.example.com a.example.com;\nserver_name \"a.example.com\" .c.example.com '*.D.example.com';",
    );
    assert_eq!(s.names, ["B.example.com", "a.example.com", ".c.example.com", "*.D.example.com"]);
    let s = site("server_name \"a.example.com\";\nserver_name \"\" _;");
    assert_eq!(s.names, ["a.example.com", "", "_"]);
}

#[test]
fn directives_may_be_quoted_too() {
    let all = sites("\"server\" { 'server_name' x.example.com; \"li\\\\sten\" 9; 'listen' \"81\"; }");
    assert_eq!(all[0].names, ["x.example.com"]);
    assert_eq!(all[0].listen, ["*:81"]);
}

#[test]
fn names_are_decoded_as_utf8_or_gbk() {
    assert_eq!(site("server_name 商店.example.com;").names, ["商店.example.com"]);
    let gbk = b"events {}\nhttp { server { server_name \xc9\xcc\xb5\xea.example.com; } }".as_slice();
    let s = scan(gbk);
    assert_eq!((names(&s), kinds(&s)), (vec![vec!["商店.example.com"]], vec![]));
}

#[test]
fn long_name_lists_are_deduplicated_too() {
    let list: Vec<String> = (0..200).map(|i| format!("n{}.example.com", i % 100)).collect();
    let s = site(&format!("server_name {};", list.join(" ")));
    assert_eq!(s.names, list[..100]);
}

#[test]
fn listens_are_normalised_and_ssl_holds_for_the_socket() {
    let s = site(
        "listen 80; listen [::]:80 default_server ipv6only=on; listen 443 ssl http2 reuseport backlog=511;\n\
         listen 443 quic; listen unix:/run/x.sock; listen 8000-8003;",
    );
    assert_eq!(s.listen, ["*:80", "[::]:80", "*:443 ssl", "unix:/run/x.sock", "*:8000-8003"]);
    assert_eq!(s.default, s.listen);
    assert_eq!(s.implicit_default, ["*:80", "*:443 ssl", "unix:/run/x.sock", "*:8000-8003"]);
    let all = sites("server { listen 443; } server { listen 443 ssl; } server { listen 444; ssl on; }");
    assert_eq!(all[0].listen, ["*:443 ssl"], "one ssl makes the socket speak TLS");
    assert_eq!(all[2].listen, ["*:444 ssl"]);
}

#[test]
fn the_default_is_marked_or_first_per_address_and_port() {
    let all = sites(
        "server { listen 80; listen 127.0.0.1:80; server_name a; }\n\
         server { listen 80 default_server; listen 81; server_name b; }\n\
         server { listen 81 default; listen localhost:80; server_name c; }",
    );
    assert_eq!(all[0].default, ["127.0.0.1:80"]);
    assert_eq!(all[0].implicit_default, ["127.0.0.1:80"]);
    assert_eq!(all[1].default, ["*:80"]);
    assert!(all[1].implicit_default.is_empty());
    assert_eq!(all[2].default, ["*:81"], "localhost is 127.0.0.1, whose default is the first site");
}

#[test]
fn ports_of_a_range_are_sockets_of_their_own() {
    let all = sites("server { listen 8001; } server { listen 8000-8002; } server { listen 8002; }");
    assert_eq!(all[0].default, ["*:8001"]);
    assert_eq!(all[1].default, ["*:8000-8002"]);
    assert!(all[2].default.is_empty());
}

#[test]
fn names_already_taken_are_shadowed() {
    let all = sites(
        "server { server_name A.example.com *.w.example.com .d.example.com t.* ~^r$ _; }\n\
         server { server_name a.example.com *.W.example.com d.example.com *.d.example.com t.* ~^r$ ~^R$ _ b; }\n\
         server { listen 81; listen 80; server_name a.example.com b; }",
    );
    assert!(all[0].shadowed.is_empty());
    assert_eq!(
        all[1].shadowed,
        ["a.example.com", "*.W.example.com", "d.example.com", "*.d.example.com", "t.*", "~^r$", "_"]
    );
    assert!(all[2].shadowed.is_empty(), "still reached on *:81");
}

#[test]
fn a_leading_dot_loses_to_either_half() {
    // As nginx 1.22 has it: the whole of `.x` is ignored.
    let all = sites(
        "server { server_name x.example.com; } server { server_name .x.example.com; }\n\
         server { server_name *.y.example.com; } server { server_name .y.example.com; }\n\
         server { server_name y.example.com; } server { server_name z.example.com .z.example.com; }",
    );
    let shadowed: Vec<_> = all.iter().map(|s| s.shadowed.len()).collect();
    assert_eq!(shadowed, [0, 1, 0, 1, 1, 1]);
    assert_eq!(all[5].shadowed, [".z.example.com"]);
}

#[test]
fn root_and_certificates_are_inherited_from_http() {
    let all = sites(
        "server { server_name a; }\n\
         server { root /b; ssl_certificate /b.pem; ssl_certificate /b2.pem; ssl_certificate data:$cert; }\n\
         root /all; ssl_certificate $dir/all.pem;",
    );
    assert_eq!(all[0].root.as_deref(), Some("/all"));
    assert_eq!(all[0].certificates, ["$dir/all.pem"]);
    assert_eq!(all[1].root.as_deref(), Some("/b"));
    assert_eq!(all[1].certificates, ["/b.pem", "/b2.pem"]);
    let s = site("location / { root /inner; }");
    assert_eq!(s.root, None);
}

#[test]
fn upstreams_come_from_any_depth_as_urls() {
    let s = site(
        "location / { proxy_pass http://127.0.0.1:3000; if ($x) { proxy_pass https://$up; } }\n\
         location ~ \\.php$ { fastcgi_pass unix:/tmp/php.sock; location /u { uwsgi_pass 127.0.0.1:1; } }\n\
         location /s { scgi_pass localhost:9000; } location /g { grpc_pass 127.0.0.1:5; }\n\
         location /h { grpc_pass grpcs://b; limit_except GET { proxy_pass http://127.0.0.1:3000; } }",
    );
    assert_eq!(
        s.upstream,
        [
            "http://127.0.0.1:3000",
            "https://$up",
            "fastcgi://unix:/tmp/php.sock",
            "uwsgi://127.0.0.1:1",
            "scgi://localhost:9000",
            "grpc://127.0.0.1:5",
            "grpcs://b"
        ]
    );
}

#[test]
fn only_a_site_that_does_nothing_else_is_a_redirect() {
    let to = |server: &str| site(server).redirect;
    let url = Some("https://www.example.com$request_uri".to_owned());
    for server in [
        "return 301 https://www.example.com$request_uri;",
        "return https://www.example.com$request_uri; location / { proxy_pass http://127.0.0.1; }",
        "location / { return 308 https://www.example.com$request_uri; }",
        "location /.well-known/acme-challenge/ { root /a; } location / { return 301 https://www.example.com$request_uri; }",
        "rewrite ^ https://www.example.com$request_uri permanent;",
        "rewrite ^(.*)$ https://www.example.com$request_uri;",
        "if ($host = a) { return 301 https://www.example.com$request_uri; } return 404;",
    ] {
        assert_eq!(to(server), url, "{server}");
    }
    for server in [
        "return 200 https://www.example.com;",
        "return 301;",
        "if ($a) { return 301 https://www.example.com$request_uri; }",
        "if ($a) { return 200 x; } return 301 https://www.example.com$request_uri;",
        "location / { return 301 /x; } location /x { root /a; }",
        "location = / { return 301 /x; }",
        "rewrite ^/a$ /b permanent;",
        "rewrite ^ /index.php last;",
        "location /a { return 301 /x; }",
    ] {
        assert_eq!(to(server), None, "{server}");
    }
}

#[test]
fn a_refusal_is_certain_or_none() {
    let refuses = |server: &str| !site(server).refuses.is_empty();
    for server in [
        "return 444;",
        "return 403; location / { proxy_pass http://127.0.0.1; }",
        "error_page 404 /x; return 444;",
        "location / { return 444; }",
        "location / { return 403; } location = /a { return 404; }",
        "deny all;",
        "listen 443 ssl; ssl_reject_handshake on;",
    ] {
        assert!(refuses(server), "{server}");
    }
    for server in [
        "",
        "return 200;",
        "return 403 \"text\";",
        "error_page 403 /x; return 403;",
        "if ($a) { return 200 x; } return 444;",
        "rewrite ^/a /b break; return 444;",
        "location / { return 444; } location /a { root /b; }",
        "location / { if ($a) { return 200 x; } return 444; }",
        "location = / { return 444; }",
        "location /a { return 444; }",
        "server_rewrite_by_lua_block { ngx.say(1) } return 444;",
        "deny all; allow 10.0.0.1;",
        "deny all; location / { }",
        "deny all; satisfy any;",
        "listen 80; ssl_reject_handshake on;",
        "listen 443 ssl; ssl_reject_handshake off;",
    ] {
        assert!(!refuses(server), "{server}");
    }
    let all = sites(
        "ssl_reject_handshake on; server { listen 80; listen 443 ssl; return 404; } error_page 404 /x;",
    );
    assert_eq!(all[0].refuses, ["*:443 ssl"]);
}

#[test]
fn lua_that_routes_makes_names_unbounded() {
    let lua = |server: &str| site(server).unbounded == [Unbounded::Lua];
    for server in [
        "location / { content_by_lua_block { ngx.say('}') } }",
        "location / { content_by_lua 'ngx.say(\"{\")'; }",
        "rewrite_by_lua_file /a.lua;",
        "location / { access_by_lua_block { route() } proxy_pass http://$backend; }",
    ] {
        assert!(lua(server), "{server}");
    }
    for server in [
        "access_by_lua_file /www/server/btwaf/waf.lua; location / { proxy_pass http://127.0.0.1; }",
        "set_by_lua_block $x { return '}' }",
        "log_by_lua_block { }",
    ] {
        assert!(!lua(server), "{server}");
    }
    let all = sites("access_by_lua_file /waf.lua; init_by_lua_block { a = {} } server { }");
    assert!(all[0].unbounded.is_empty());
    let all = sites("server { } rewrite_by_lua_file /a.lua;");
    assert_eq!(all[0].unbounded, [Unbounded::Lua]);
}

#[test]
fn only_servers_of_http_are_sites() {
    let s = scan(
        "load_module \"modules/x.so\";\nevents { }\n\
         stream { server { listen 1; server_name no; } map $a $b { include x; server y; } }\n\
         mail { server { listen 2; } } rtmp { server { listen 3; application live { } } }\n\
         http { upstream server { server 127.0.0.1:9; } map $host $x { hostnames; server y; *.a b; }\n\
         types { text/html html; } geo $g { default 0; 10.0.0.0/8 1; } split_clients $a $v { 50% server; * b; }\n\
         server_tokens off; server_names_hash_max_size 1; server { server_name yes; server_name_in_redirect on; } }",
    );
    assert_eq!((names(&s), kinds(&s)), (vec![vec!["yes"]], vec![]));
}

#[test]
fn a_fragment_without_http_is_a_panels_include() {
    let s = scan("root /f;\nserver { listen 81; server_name a; }\nserver { listen 81; server_name b; }");
    assert_eq!((names(&s), s.problems.as_slice()), (vec![vec!["a"], vec!["b"]], &[][..]));
    assert_eq!(s.sites[0].root.as_deref(), Some("/f"));
    assert_eq!(s.sites[0].default, ["*:81"]);
}

#[test]
fn includes_stand_anywhere_and_start_at_the_main_files_folder() {
    let s = scan_files(&[
        ("/etc/nginx/nginx.conf", b"include top/*.conf;\nevents {}\n"),
        ("/etc/nginx/top/http.conf", b"http { include 'sites/[ab]?conf'; include empty/*.conf; }"),
        ("/etc/nginx/sites/a.conf", b"server { include inc/names; }\nserver { server_name second; }"),
        ("/etc/nginx/sites/b.conf", b"server { server_name b; location / { include inc/pass; } }"),
        ("/etc/nginx/sites/.b.conf", b"server { server_name hidden; }"),
        ("/etc/nginx/inc/names", b"server_name a;\ninclude inc/more;"),
        ("/etc/nginx/inc/more", b"server_name a2;"),
        ("/etc/nginx/inc/pass", b"proxy_pass http://127.0.0.1:1;"),
    ]);
    assert_eq!(s.problems, []);
    assert_eq!(names(&s), [vec!["a", "a2"], vec!["second"], vec!["b"]]);
    assert_eq!(s.sites[1].file, "/etc/nginx/sites/a.conf");
    assert_eq!(s.sites[1].line, 2);
    assert_eq!(s.sites[2].upstream, ["http://127.0.0.1:1"]);
}

#[test]
fn a_file_included_twice_is_served_twice() {
    let s = scan_files(&[
        ("/etc/nginx/nginx.conf", b"http { include a.conf; include a.conf; }"),
        ("/etc/nginx/a.conf", b"server { server_name a; }"),
    ]);
    assert_eq!((names(&s), s.problems.as_slice()), (vec![vec!["a"], vec!["a"]], &[][..]));
    assert_eq!(s.sites[1].shadowed, ["a"]);
}

#[test]
fn crlf_changes_nothing() {
    let text = "events {}\r\nhttp {\r\n  server {\r\n    listen 81; # x\r\n    server_name a b\r\n c;\r\n }\r\n}\r\n";
    let s = scan(text);
    assert_eq!((names(&s), s.sites[0].line, s.problems.len()), (vec![vec!["a", "b", "c"]], 3, 0));
}
