//! Variables, start options, conditions, macros.

use super::*;

const LISTEN: &str = "Listen 80\n";

fn conditional(open: &str) -> bool {
    conditional_with(open, None)
}

fn conditional_with(open: &str, args: Option<&str>) -> bool {
    let end = open[1..].split_whitespace().next().unwrap();
    let text = format!("{LISTEN}{open}\n{}</{end}>\n{}", vhost("*:80", "in.test"), vhost("*:80", "out.test"));
    let scan = Tree::of(text).scan_from(MAIN, args);
    assert_eq!(scan.problems, []);
    match names(&scan).as_slice() {
        ["in.test", "out.test"] => true,
        ["out.test"] => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn defines_hold_from_where_they_stand() {
    let text = format!(
        "{LISTEN}{}Define N one.test\n{}Define n two.test\n{}UnDefine N\n{}",
        vhost("*:80", "${N}"),
        vhost("*:80", "${N}"),
        vhost("*:80", "www.${n}"),
        vhost("*:80", "x.${N}"),
    );
    let scan = Tree::of(text).scan();
    assert_eq!(names(&scan), ["${N}", "one.test", "www.two.test", "x.${N}"]);
    let lines: Vec<_> = problems(&scan).iter().map(|p| (p.0, p.2)).collect();
    assert_eq!(
        lines,
        [(ProblemKind::UnresolvedVariable, Some(3)), (ProblemKind::UnresolvedVariable, Some(15))]
    );
    assert!(scan.complete());
}

#[test]
fn a_value_is_not_looked_into_again() {
    let text = format!("{LISTEN}Define A ${{B}}\nDefine B b.test\n{}", vhost("*:80", "${A}"));
    assert_eq!(names(&Tree::of(text).scan()), ["${B}"]);
}

#[test]
fn an_unset_variable_in_a_log_is_no_problem() {
    let text = format!(
        "{LISTEN}ErrorLog ${{APACHE_LOG_DIR}}/error.log\nDocumentRoot ${{WWW}}\nRewriteRule x ${{map:y}}\n{}",
        vhost("*:80", "a.test")
    );
    assert_eq!(Tree::of(text).scan().problems, []);
}

#[test]
fn an_unset_variable_in_an_address_stays_as_written() {
    let scan = Tree::of(format!("Listen ${{PORT}}\n{}", vhost("*:${PORT}", "a.test"))).scan();
    assert_eq!(scan.sites[0].listen, ["*:${PORT}"]);
    assert_eq!(scan.problems.iter().filter(|p| p.kind == ProblemKind::UnresolvedVariable).count(), 2);
}

#[test]
fn envvars_are_plain_assignments() {
    let vars = env::envvars(
        b"# comment\nunset HOME\nif [ \"${A##/x-}\" != \"${A}\" ] ; then\n SUFFIX=\"-${A##/x-}\"\nelse\n\tSUFFIX=\nfi\n\
          export LOG=/var/log$SUFFIX/a\nB='single $LOG'\nexport C=\"x ${B}\" D=d\nE=$(id)\nF=`id`\nG=a\\ b # c\n\
          : ${H:=h}\nI=i; export I\nJ=j\nunset J\nif test -f x; then K=k; fi\nexport L=\"$LOG\"\nM=${N:-x}\n",
    );
    let get = |n: &str| vars.get(n.as_bytes()).map(|v| String::from_utf8_lossy(v).into_owned());
    assert_eq!(get("SUFFIX").as_deref(), Some(""));
    assert_eq!(get("LOG").as_deref(), Some("/var/log/a"));
    assert_eq!(get("B").as_deref(), Some("single $LOG"));
    assert_eq!(get("C").as_deref(), Some("x single $LOG"));
    assert_eq!(get("D").as_deref(), Some("d"));
    assert_eq!(get("G").as_deref(), Some("a b"));
    assert_eq!(get("I").as_deref(), Some("i"));
    assert_eq!(get("L").as_deref(), Some("/var/log/a"));
    for unset in ["E", "F", "H", "J", "K", "M", "HOME"] {
        assert_eq!(get(unset), None, "{unset}");
    }
}

#[test]
fn debian_envvars_set_variables() {
    let tree = Tree::of(format!("Listen ${{PORT}}\n{}", vhost("*:${PORT}", "${SITE}")))
        .file("/etc/apache2/envvars", "export PORT=8080\nexport SITE=a.test\n");
    let scan = tree.scan();
    assert_eq!(names(&scan), ["a.test"]);
    assert_eq!(scan.sites[0].listen, ["*:8080"]);
    assert_eq!(scan.problems, []);
}

#[test]
fn an_own_build_has_its_envvars_in_bin() {
    let main = "/usr/local/apache/conf/httpd.conf";
    let tree = Tree::new()
        .file(main, format!("{LISTEN}{}", vhost("*:80", "${S}")))
        .file("/usr/local/apache/bin/envvars", "S=own.test\nexport S\n");
    assert_eq!(names(&tree.scan_from(main, None)), ["own.test"]);
}

#[test]
fn sysconfig_gives_options_and_variables() {
    let main = "/etc/httpd/conf/httpd.conf";
    let text =
        format!("{LISTEN}<IfDefine SSL>\n{}</IfDefine>\n{}", vhost("*:80", "s.test"), vhost("*:80", "${S}"));
    let tree = Tree::new()
        .file(main, text)
        .file("/etc/sysconfig/httpd", "# c\nOPTIONS=\"-D SSL -DOTHER\"\nS=env.test\nLANG=C\n");
    assert_eq!(names(&tree.scan_from(main, None)), ["s.test", "env.test"]);
    // Options that somebody knows count alone.
    assert_eq!(names(&tree.scan_from(main, Some(""))), ["env.test"]);
}

#[test]
fn start_options() {
    let o = Options::parse("-DSSL -D X=Y -k start -d /srv/www -C \"LoadModule a_module a.so\" -e debug -X");
    assert_eq!(o.defines, [b"SSL".to_vec(), b"X=Y".to_vec()]);
    assert_eq!(o.server_root.as_deref(), Some(&b"/srv/www"[..]));
    assert_eq!(o.before, b"LoadModule a_module a.so\n");
    assert_eq!(o.after, b"");
}

#[test]
fn directives_of_the_command_line_count() {
    let tree = Tree::of(format!("<IfModule ssl_module>\n{}</IfModule>\n", vhost("*:443", "a.test")));
    let args = "-C 'Listen 443' -C 'LoadModule ssl_module modules/mod_ssl.so'";
    let scan = tree.scan_from(MAIN, Some(args));
    assert_eq!(names(&scan), ["a.test"]);
    assert_eq!(scan.sites[0].listen, ["*:443"]);
}

#[test]
fn if_define() {
    for args in ["-DX", "-D X", "-k start -D X"] {
        assert!(conditional_with("<IfDefine X>", Some(args)));
    }
    assert!(conditional_with("<IfDefine X >", Some("-DX")));
    assert!(conditional("<IfDefine !X>"));
    assert!(conditional("<ifdefine !X>"));
    // The names have case, and -D knows no values.
    assert!(!conditional_with("<IfDefine x>", Some("-DX")));
    assert!(!conditional_with("<IfDefine X>", Some("-DX=1")));
    assert!(conditional_with("<IfDefine X=1>", Some("-DX=1")));
}

#[test]
fn if_module() {
    for there in ["mod_so.c", "core.c", "version_module", "\"mod_version.c\"", "!mod_ssl.c", "!MOD_SO.C"] {
        assert!(conditional(&format!("<IfModule {there}>")), "{there}");
    }
    let with = |line: &str, test: &str| {
        let text = format!("{LISTEN}{line}\n<IfModule {test}>\n{}</IfModule>\n", vhost("*:80", "a.test"));
        Tree::of(text).scan().sites[0].names == ["a.test"]
    };
    assert!(with("LoadModule ssl_module modules/mod_ssl.so", "mod_ssl.c"));
    assert!(with("loadmodule ssl_module modules/mod_ssl.so", "ssl_module"));
    assert!(with("LoadModule php7_module modules/libphp7.so", "mod_php7.c"));
    assert!(with("LoadModule mpm_event_module modules/mod_mpm_event.so", "event.c"));
    assert!(!with("LoadModule mpm_event_module modules/mod_mpm_event.so", "mod_mpm_event.c"));
    assert!(with("LoadModule mpm_prefork_module modules/mod_mpm_prefork.so", "!mpm_winnt_module"));
    assert!(!with("# LoadModule ssl_module modules/mod_ssl.so", "ssl_module"));
}

#[test]
fn if_version() {
    for held in [
        ">= 2.4",
        "> 2.2",
        "!< 2.4",
        "< 3",
        "~ ^2.4",
        "= /^2\\.[345]/",
        "~ /^2\\.(4|6)|^2/",
        "!= 2.2",
        "<= 2.5",
    ] {
        let held = if held == "!= 2.2" { "!2.2" } else { held };
        assert!(conditional(&format!("<IfVersion {held}>")), "{held}");
    }
    for not in ["< 2.4", "= 2.2", "2.2.3", "~ ^2\\.2", "!>= 2.4"] {
        assert!(!conditional(&format!("<IfVersion {not}>")), "{not}");
    }
    assert_eq!(condition::if_version(b"=> 2.4", Version::DEFAULT), None);
    assert_eq!(condition::if_version(b">= two", Version::DEFAULT), None);
}

#[test]
fn if_file_directive_and_section() {
    assert!(conditional(&format!("<IfFile {MAIN}>")));
    assert!(conditional("<IfFile apache2.conf>"));
    assert!(!conditional("<IfFile none.conf>"));
    assert!(conditional("<IfFile !none.conf>"));
    assert!(conditional("<IfDirective RedirectMatch>"));
    assert!(!conditional("<IfDirective NoSuchThing>"));
    assert!(conditional("<IfSection VirtualHost>"));
    assert!(!conditional("<IfSection !VirtualHost>"));
}

#[test]
fn what_a_request_decides_makes_no_sites_and_no_harm() {
    let text = format!(
        "{LISTEN}<VirtualHost *:80>\nServerName a.test\n<If \"%{{HTTP_HOST}} == 'x.test'\">\n<Files x>\n</Files>\n</If>\n\
         <Else>\nSetHandler proxy:http://127.0.0.1:1\n</Else>\nServerAlias b.test\n</VirtualHost>\n{}",
        vhost("*:80", "c.test")
    );
    let scan = Tree::of(text).scan();
    assert_eq!(names(&scan), ["a.test", "b.test", "c.test"]);
    assert_eq!(scan.sites[0].upstream, [""; 0]);
    assert_eq!(scan.problems, []);
}

#[test]
fn perl_code_is_passed_over() {
    let text =
        format!("{LISTEN}<Perl>\nmy $x = <$fh>;\nif ($a <$b) {{\n</Perl>\n{}", vhost("*:80", "a.test"));
    let scan = Tree::of(text).scan();
    assert_eq!(names(&scan), ["a.test"]);
    assert_eq!(scan.problems, []);
}

#[test]
fn macros() {
    let text = "Listen 80\n\
        <Macro VHost $name $namelong @doc %extra>\n\
        <VirtualHost *:80>\nServerName $name\nServerAlias $namelong %extra\nDocumentRoot @doc\n</VirtualHost>\n\
        </Macro>\n\
        use vhost a.test long.test \"/srv/a b\" \"x.test y.test\"\n\
        Use VHOST b.test blong.test '/srv/\"q\"' z.test\n\
        UndefMacro VHost\n\
        Use VHost c.test c c c\n";
    let scan = Tree::of(text).scan();
    assert_eq!(names(&scan), ["a.test", "long.test", "x.test", "y.test", "b.test", "blong.test", "z.test"]);
    assert_eq!(scan.sites.iter().map(|s| s.line).collect::<Vec<_>>(), [9, 10]);
    assert_eq!(scan.sites[0].root.as_deref(), Some("/srv/a b"));
    assert_eq!(scan.sites[1].root.as_deref(), Some("/srv/\"q\""));
    assert_eq!(problems(&scan), [(ProblemKind::Syntax, MAIN, Some(12))]);
}

#[test]
fn macros_in_macros_count_for_the_outermost_use() {
    let text = "Listen 80\n<Macro Inner $n>\n<VirtualHost *:80>\nServerName $n.inner.test\n</Macro>\n\
        <Macro Outer $n>\nUse Inner $n\nServerAlias $n.outer.test\n</VirtualHost>\n</Macro>\n\n\nUse Outer a\n";
    let scan = Tree::of(text).scan();
    assert_eq!(names(&scan), ["a.inner.test", "a.outer.test"]);
    assert_eq!(scan.sites[0].line, 13);
    assert_eq!(scan.problems, []);
}

#[test]
fn a_macro_may_define_a_macro_and_hold_variables() {
    let text = "Listen 80\n<Macro M $n>\n<Macro N%x>\n</Macro>\nDefine V $n.test\n<VirtualHost *:80>\nServerName ${V}\n</VirtualHost>\n</Macro>\nUse M a\nUse M b\n";
    let scan = Tree::of(text).scan();
    assert_eq!(names(&scan), ["a.test", "b.test"]);
    assert_eq!(scan.problems, []);
}

#[test]
fn a_site_of_a_file_that_a_macro_includes_stands_in_that_file() {
    let tree = Tree::of("Listen 80\n<Macro M $f>\nInclude sites/$f.conf\n</Macro>\nUse M a\n")
        .file("/etc/apache2/sites/a.conf", format!("\n\n{}", vhost("*:80", "a.test")));
    let scan = tree.scan();
    assert_eq!((scan.sites[0].file.as_str(), scan.sites[0].line), ("/etc/apache2/sites/a.conf", 3));
}
