//! Names, addresses, selection, and what a site does.

use super::*;

/// The sites of a main file that listens on 80, 8080 and 443.
fn sites(text: &str) -> Vec<Site> {
    let scan = Tree::of(format!("Listen 80\nListen 8080\nListen 443\n{text}")).scan();
    scan.sites
}

/// The one site of a vhost with these lines.
fn site_of(lines: &str) -> Site {
    let scan =
        Tree::of(format!("Listen 80\n<VirtualHost *:80>\nServerName a.test\n{lines}\n</VirtualHost>\n"))
            .scan();
    assert_eq!(scan.sites.len(), 1);
    scan.sites.into_iter().next().unwrap()
}

fn listens(text: &str) -> Vec<Vec<String>> {
    sites(text).into_iter().map(|s| s.listen).collect()
}

#[test]
fn names_are_as_written() {
    let name = |n: &str| site_of(&format!("ServerName {n}")).names;
    assert_eq!(name("https://B.test:443"), ["B.test"]);
    assert_eq!(name("b.test:80"), ["b.test"]);
    assert_eq!(name("\"b.test\""), ["b.test"]);
    assert_eq!(name("http://b.test/"), ["b.test"]);
    assert_eq!(name("[2001:db8::1]:80"), ["[2001:db8::1]"]);
    assert_eq!(name("示例.test"), ["示例.test"]);
    let site =
        site_of("ServerAlias b.test c.test\nSERVERALIAS 'b.test' *.d.test ?x.test\nServerAlias a.test");
    assert_eq!(site.names, ["a.test", "b.test", "c.test", "*.d.test", "?x.test"]);
    // Of two ServerNames the last counts.
    assert_eq!(site_of("ServerAlias b.test\nServerName c.test").names, ["b.test", "c.test"]);
}

#[test]
fn names_in_other_sections_are_none() {
    let site = site_of(
        "<Directory /x>\nServerName x.test\n</Directory>\n<Location />\nServerAlias y.test\n</Location>",
    );
    assert_eq!(site.names, ["a.test"]);
    let main = Tree::of("Listen 80\nServerAlias no.test\n").scan();
    assert_eq!(main.sites[0].names, [""; 0]);
}

#[test]
fn many_aliases_are_each_there_once() {
    let all: Vec<String> = (0..5000).map(|i| format!("n{i}.test")).collect();
    let site = site_of(&format!("ServerAlias {0} {0}", all.join(" ")));
    assert_eq!(site.names.len(), 5001);
    assert_eq!(site.shadowed, [""; 0]);
}

#[test]
fn addresses() {
    let text = "<VirtualHost _default_:80 0.0.0.0:8080 [::]:443 127.0.0.1:80 [::1]:80 www.test:80 203.0.113.9:8080>\n</VirtualHost>\n";
    assert_eq!(
        listens(text)[0],
        ["*:80", "*:8080", "[::]:443", "127.0.0.1:80", "[::1]:80", "www.test:80", "203.0.113.9:8080"]
    );
}

#[test]
fn addresses_that_apache_refuses() {
    let scan =
        Tree::of("Listen 80\n<VirtualHost 80 *:99999 *:80>\nServerName a.test\n</VirtualHost>\n").scan();
    assert_eq!(scan.sites[0].listen, ["*:80"]);
    assert_eq!(problems(&scan), [(ProblemKind::Syntax, MAIN, Some(2))]);
}

#[test]
fn no_port_is_every_port_that_comes_to_it() {
    let all = ["*:80", "*:8080", "*:443"];
    for any in ["*", "*:*", "_default_", "0.0.0.0:*"] {
        assert_eq!(listens(&vhost(any, "a.test"))[0], all, "{any}");
    }
    // An exact port goes before.
    let both = listens(&format!("{}{}", vhost("*", "a.test"), vhost("*:80", "b.test")));
    assert_eq!(both, [vec!["*:8080", "*:443"], vec!["*:80"]]);
    assert_eq!(
        listens(&vhost("127.0.0.1", "a.test"))[0],
        ["127.0.0.1:80", "127.0.0.1:8080", "127.0.0.1:443"]
    );
    // A Listen of one address belongs to that address first.
    let scan = Tree::of(format!(
        "Listen 10.0.0.1:80\nListen 81\n{}{}",
        vhost("10.0.0.1:80", "a.test"),
        vhost("*", "b.test")
    ))
    .scan();
    assert_eq!(scan.sites[1].listen, ["*:81"]);
}

#[test]
fn the_port_of_the_main_name_is_that_of_addresses_without_one() {
    let with = |main: &str, addr: &str| listens(&format!("{main}{}", vhost(addr, "a.test"))).pop().unwrap();
    assert_eq!(with("ServerName m.test:8080\n", "_default_"), ["*:8080"]);
    assert_eq!(with("ServerName m.test:8080\n", "10.0.0.1"), ["10.0.0.1:8080"]);
    assert_eq!(with("ServerName m.test:8080\n", "*"), ["*:80", "*:8080", "*:443"]);
    assert_eq!(with("ServerName m.test:8080\nServerName n.test\n", "_default_"), ["*:80", "*:8080", "*:443"]);
}

#[test]
fn wildcard_addresses_are_one_group() {
    let text =
        [vhost("[::]:80", "a.test"), vhost("*:80", "b.test"), vhost("_default_:80", "a.test")].concat();
    let s = &sites(&text)[1..];
    assert_eq!(s[0].default, ["[::]:80"]);
    assert_eq!((s[1].default.as_slice(), s[1].shadowed.as_slice()), (&[][..], &[][..]));
    assert_eq!(s[2].shadowed, ["a.test"]);
}

#[test]
fn exact_addresses_are_groups_of_their_own() {
    let text =
        [vhost("*:80", "a.test"), vhost("127.0.0.1:80", "a.test"), vhost("127.0.0.1:80 *:80", "a.test b")]
            .concat();
    let s = &sites(&text)[1..];
    assert_eq!(s[0].default, ["*:80"]);
    assert_eq!(s[1].default, ["127.0.0.1:80"]);
    assert_eq!(s[1].shadowed, [""; 0]);
    assert_eq!(s[2].shadowed, ["a.test"]);
}

#[test]
fn a_name_is_shadowed_only_where_it_is_taken_everywhere() {
    let text = [vhost("*:80", "a.test"), vhost("*:80 *:8080", "a.test"), vhost("*:8080", "A.TEST")].concat();
    let s = &sites(&text)[1..];
    assert_eq!(s[1].shadowed, [""; 0]);
    assert_eq!(s[2].shadowed, ["A.TEST"]);
}

#[test]
fn wildcards_shadow_what_stands_below() {
    let text = "<VirtualHost *:80>\nServerName x.test\nServerAlias *.w.test ?.q.test\n</VirtualHost>\n\
        <VirtualHost *:80>\nServerName b.w.test\nServerAlias *.b.w.test *.w.test w.test A.Q.test *.q.test ?.q.test aa.q.test ??.w.test\n</VirtualHost>\n";
    let s = sites(text);
    assert_eq!(
        s[2].shadowed,
        ["b.w.test", "*.b.w.test", "*.w.test", "A.Q.test", "?.q.test", "??.w.test"],
        "{:?}",
        s[2]
    );
}

#[test]
fn own_wildcards_shadow_nothing_of_their_site() {
    let site = site_of("ServerAlias *.test *");
    assert_eq!(site.shadowed, [""; 0]);
}

#[test]
fn a_nameless_vhost_takes_the_main_servers_name_over() {
    let text = "ServerName m.test\n<VirtualHost *:80>\nServerAlias x.test\n</VirtualHost>\n\
        <VirtualHost *:80>\nServerName m.test\n</VirtualHost>\n\
        <VirtualHost 10.0.0.1:80>\n</VirtualHost>\n<VirtualHost 10.0.0.1:80>\nServerName m.test\n</VirtualHost>\n";
    let s = sites(text);
    assert_eq!(s[1].names, ["x.test"]);
    assert_eq!(s[2].shadowed, ["m.test"]);
    assert_eq!(s[4].shadowed, [""; 0]);
}

#[test]
fn the_main_server_has_what_no_vhost_takes() {
    let main = |text: &str| {
        let s = sites(text).into_iter().next().unwrap();
        (s.line == 1 && s.file == MAIN && s.default == s.listen).then_some((s.names, s.listen))
    };
    let (names, listen) = main(&format!("ServerName http://m.test:80\n{}", vhost("*:80", "a.test"))).unwrap();
    assert_eq!((names, listen), (vec!["m.test".to_owned()], vec!["*:8080".to_owned(), "*:443".to_owned()]));
    let (names, listen) = main("").unwrap();
    assert_eq!((names.len(), listen.len()), (0, 3));
    assert_eq!(main(&vhost("*:80 10.0.0.1:8080 *:443", "a.test")), None);
    let scan =
        Tree::of(format!("Listen 10.0.0.1:80\nListen 10.0.0.2:80\n{}", vhost("10.0.0.2:80", "a.test")))
            .scan();
    assert_eq!(scan.sites[0].listen, ["10.0.0.1:80"]);
    let scan = Tree::of(format!("Listen 10.0.0.1:80\n{}", vhost("*:80", "a.test"))).scan();
    assert_eq!(scan.sites.len(), 1);
}

#[test]
fn a_port_that_nothing_opens_is_told() {
    let scan = Tree::of(format!("Listen 80\n{}{}", vhost("*:80", "a.test"), vhost("*:81", "b.test"))).scan();
    assert_eq!(names(&scan), ["a.test", "b.test"]);
    assert_eq!(problems(&scan), [(ProblemKind::SiteDisabled, MAIN, Some(5))]);
    // Without any Listen a part of the configuration is elsewhere.
    assert_eq!(Tree::of(vhost("*:81", "b.test")).scan().problems, []);
}

#[test]
fn a_host_name_as_address_is_the_name_of_a_vhost_without_one() {
    let s = sites(
        "<VirtualHost www.a.test:80>\nDocumentRoot /srv/a\n</VirtualHost>\n<VirtualHost www.b.test:80>\nServerName b.test\n</VirtualHost>\n",
    );
    assert_eq!(
        (s[1].names.as_slice(), s[2].names.as_slice()),
        (&["www.a.test".to_owned()][..], &["b.test".to_owned()][..])
    );
}

#[test]
fn tls() {
    let ssl = |text: &str| {
        let scan = Tree::of(text).scan();
        scan.sites.iter().flat_map(|s| s.listen.clone()).collect::<Vec<_>>()
    };
    let on = "<VirtualHost *:443>\nServerName a.test\nSSLEngine On\n</VirtualHost>\n";
    assert_eq!(ssl(&format!("Listen 443\n{on}")), ["*:443 ssl"]);
    assert_eq!(ssl(&format!("Listen 443\n{}", vhost("*:443", "a.test"))), ["*:443"]);
    assert_eq!(ssl(&format!("Listen 8443 https\n{}", vhost("*:8443", "a.test"))), ["*:8443 ssl"]);
    assert_eq!(ssl(&format!("SSLEngine on\nListen 443\n{}", vhost("*:443", "a.test"))), ["*:443 ssl"]);
    let load = "LoadModule ssl_module modules/mod_ssl.so\n";
    assert_eq!(ssl(&format!("{load}Listen 443\n{}", vhost("*:443", "a.test"))), ["*:443"]);
    let off = "<VirtualHost *:443>\nSSLEngine off\n</VirtualHost>\n";
    assert_eq!(ssl(&format!("Listen 443 https\n{off}")), ["*:443"]);
    // The first address decides for all.
    let both = "Listen 80\nListen 8443 https\n";
    assert_eq!(ssl(&format!("{both}{}", vhost("*:8443 *:80", "a.test"))), ["*:8443 ssl", "*:80 ssl"]);
    assert_eq!(ssl(&format!("{both}{}", vhost("*:80 *:8443", "a.test"))), ["*:80", "*:8443"]);
    assert_eq!(ssl(both), ["*:80", "*:8443"]);
    let site = site_of(
        "SSLEngine on\nSSLCertificateFile \"/etc/ssl/a.pem\"\nSSLCertificateKeyFile /etc/ssl/a.key\nSSLCertificateFile /etc/ssl/b.pem",
    );
    assert_eq!(site.certificates, ["/etc/ssl/a.pem", "/etc/ssl/b.pem"]);
}

#[test]
fn roots_and_upstreams() {
    let site = site_of(
        "DocumentRoot \"/srv/a b\"\nProxyPass /img !\nProxyPass / http://127.0.0.1:3000/ retry=0\nProxyPassReverse / http://127.0.0.1:9/\n\
         ProxyPassMatch ^/(.*)$ balancer://pool/$1\n<Location /x>\nProxyPass http://127.0.0.1:3001/\n</Location>\n\
         <FilesMatch \\.php$>\nSetHandler \"proxy:unix:/run/php.sock|fcgi://localhost\"\n</FilesMatch>\n\
         RewriteRule ^/y http://127.0.0.1:3002/ [P,L]\nProxyPass /z http://127.0.0.1:3000/",
    );
    assert_eq!(site.root.as_deref(), Some("/srv/a b"));
    assert_eq!(
        site.upstream,
        [
            "http://127.0.0.1:3000/",
            "balancer://pool/$1",
            "http://127.0.0.1:3001/",
            "unix:/run/php.sock|fcgi://localhost",
            "http://127.0.0.1:3002/"
        ]
    );
    let s = sites(&format!("DocumentRoot /srv/main\n{}", vhost("*:80", "a.test")));
    assert_eq!(s[1].root.as_deref(), Some("/srv/main"));
}

#[test]
fn redirects_of_everything() {
    let to = |lines: &str| site_of(lines).redirect;
    let target = Some("https://b.test/".to_owned());
    for line in [
        "Redirect / https://b.test/",
        "Redirect permanent \"/\" https://b.test/",
        "redirect 301 / https://b.test/",
        "RedirectPermanent / https://b.test/",
        "RedirectMatch 302 ^/(.*)$ https://b.test/",
        "<Location />\nRedirect https://b.test/\n</Location>",
        "RewriteEngine on\nRewriteRule ^ https://b.test/ [R=301,L]",
        "RewriteEngine On\nRewriteCond %{HTTPS} off\nRewriteRule ^(.*)$ https://b.test/ [L,R]",
        "RewriteEngine on\nRewriteCond %{SERVER_NAME} =A.test\nRewriteRule ^ https://b.test/ [END,NE,R=permanent]",
    ] {
        assert_eq!(to(line), target, "{line}");
    }
    for line in [
        "Redirect /old https://b.test/",
        "ProxyPass /api http://127.0.0.1:1/\nRedirect / https://b.test/",
        "Redirect 404 /",
        "RewriteRule ^ https://b.test/ [R]",
        "RewriteEngine on\nRewriteCond %{REQUEST_URI} !^/x\nRewriteRule ^ https://b.test/ [R]",
        "RewriteEngine on\nRewriteRule ^/x - [L]\nRewriteRule ^ https://b.test/ [R]",
        "RewriteEngine on\nRewriteRule ^ /index.php [L]",
        "<Directory /x>\nRewriteEngine on\nRewriteRule ^ https://b.test/ [R]\n</Directory>",
    ] {
        assert_eq!(to(line), None, "{line}");
    }
}

#[test]
fn redirects_of_the_main_server_are_inherited() {
    let of = |main: &str| sites(&format!("{main}\n{}", vhost("*:80", "a.test"))).pop().unwrap().redirect;
    assert_eq!(of("Redirect / https://b.test/").as_deref(), Some("https://b.test/"));
    assert_eq!(of("RewriteEngine on\nRewriteRule ^ https://b.test/ [R]"), None);
}

#[test]
fn a_catch_all_that_refuses() {
    let refuses = |lines: &str| site_of(lines).refuses == ["*:80"];
    for line in [
        "<Location />\nRequire all denied\n</Location>",
        "<Location \"/\">\nOrder deny,allow\nDeny from all\n</Location>",
        "<LocationMatch \"^/\">\nRequire all denied\n</LocationMatch>",
        "Redirect 403 /",
        "Redirect gone /",
        "RedirectMatch 404 ^/.*$",
        "RewriteEngine on\nRewriteRule ^ - [F]",
        "RewriteEngine on\nRewriteRule .* - [R=403,L]",
    ] {
        assert!(refuses(line), "{line}");
    }
    for line in [
        "",
        "<Directory />\nRequire all denied\n</Directory>",
        "<Location /admin>\nRequire all denied\n</Location>",
        "<Location />\nRequire all denied\n</Location>\n<Location /a>\nRequire all granted\n</Location>",
        "<Location />\nRequire all denied\nRequire ip 10\n</Location>",
        "<Location />\n<RequireAny>\nRequire all denied\nRequire all granted\n</RequireAny>\n</Location>",
        "<Location />\nRequire all denied\n</Location>\nErrorDocument 403 /site.html",
        "<Location />\nRequire all denied\n</Location>\n<If true>\nRequire all granted\n</If>",
        "Redirect 403 /x",
        "<Location />\nRequire all denied\n</Location>\nRedirect /x https://b.test/",
        "<Location />\nRequire all denied\n</Location>\nRewriteEngine on\nRewriteRule ^/x https://b.test/ [R]",
        "Redirect 403 /\nProxyPass /x http://127.0.0.1:1/",
        "RedirectMatch 404 .*\nErrorDocument 404 /index.html",
        "Redirect / https://b.test/",
        "RewriteRule ^ - [F]",
    ] {
        assert!(!refuses(line), "{line}");
    }
}

#[test]
fn implicit_defaults() {
    let s = sites(
        "<VirtualHost *:80 _default_:443>\nServerName a.test\n</VirtualHost>\n<VirtualHost *:8080>\n</VirtualHost>\n",
    );
    assert_eq!(s[0].default, ["*:80", "*:443"]);
    assert_eq!(s[0].implicit_default, ["*:80"]);
    assert_eq!(s[1].implicit_default, [""; 0]);
}

#[test]
fn vhost_alias_of_the_main_server_holds_for_all() {
    let s = sites(&format!("VirtualDocumentRoot /srv/%0\n{}", vhost("*:80", "a.test")));
    assert!(s.iter().all(|s| s.unbounded == [Unbounded::VhostAlias]));
    assert_eq!(site_of("VirtualScriptAlias none").unbounded, []);
}

#[test]
fn synthetic_names_of_the_panel() {
    let main = "/www/server/apache/conf/httpd.conf";
    let at = |file: &str, name: &str| {
        let text =
            format!("<VirtualHost *:80>\nServerName {name}\nServerAlias s.test www.s.test\n</VirtualHost>\n");
        let tree = Tree::new().file(main, format!("Listen 80\nInclude {file}\n")).file(file, text);
        tree.scan_from(main, None).sites[0].synthetic.clone()
    };
    let panel = "/www/server/panel/vhost/apache/s.conf";
    assert_eq!(at(panel, "0a1b2c3d.s.test"), ["0a1b2c3d.s.test"]);
    assert_eq!(at(panel, "SSL.s.test"), ["SSL.s.test"]);
    for other in ["0a1b2c3d.t.test", "s.test", "0a1b2c3.s.test", "ssl.s.test", "0A1B2C3D.s.test"] {
        assert_eq!(at(panel, other), [""; 0], "{other}");
    }
    assert_eq!(at("/etc/s.conf", "0a1b2c3d.s.test"), [""; 0]);
}
