//! SUSE's settings.

use super::*;

const SUSE: &str = "/etc/apache2/httpd.conf";
const SYSCONFIG: &str = "/etc/sysconfig/apache2";

fn guarded(open: &str, name: &str) -> String {
    format!("{open}\n{}</{}>\n", vhost("*:80", name), &open[1..open.find(' ').unwrap()])
}

fn tree(sysconfig: &str) -> Tree {
    let main = [
        "Listen 80\n",
        &guarded("<IfDefine SSL>", "ssl.test"),
        &guarded("<IfDefine STATUS>", "status.test"),
        &guarded("<IfDefine SYSCONFIG>", "sysconfig.test"),
        &guarded("<IfModule mod_rewrite.c>", "rewrite.test"),
        &guarded("<IfModule headers_module>", "headers.test"),
    ]
    .concat();
    Tree::new().file(SUSE, main).file(SYSCONFIG, sysconfig)
}

#[test]
fn flags_are_defines_and_modules_are_loaded() {
    let t = tree(
        "# c\nAPACHE_SERVER_FLAGS=\"SSL -D STATUS -k\"\nAPACHE_MODULES='rewrite x;y'\nAPACHE_MODULES+=\" mod_headers\"\n",
    );
    let scan = t.scan_from(SUSE, None);
    let all = ["ssl.test", "status.test", "sysconfig.test", "rewrite.test", "headers.test"];
    assert_eq!((names(&scan), problems(&scan)), (all.to_vec(), vec![]));
    assert_eq!(names(&tree("").scan_from(SUSE, None)), ["sysconfig.test"]);
    // A command line that is known counts alone; so does another main file.
    assert_eq!(names(&t.scan_from(SUSE, Some("-D STATUS"))), ["status.test"]);
    let t = t.file(MAIN, format!("Listen 80\n{}", guarded("<IfDefine SSL>", "ssl.test")));
    assert_eq!(names(&t.scan_from(MAIN, None)), [""; 0]);
}

#[test]
fn the_generated_module_list_goes_before_the_setting() {
    let t = tree("APACHE_MODULES=rewrite")
        .file("/etc/apache2/sysconfig.d/loadmodule.conf", "LoadModule headers_module m.so\n");
    assert_eq!(names(&t.scan_from(SUSE, None)), ["sysconfig.test", "headers.test"]);
}

#[test]
fn included_files_are_read_once() {
    let more = || {
        Tree::new()
            .file(SYSCONFIG, "APACHE_CONF_INCLUDE_FILES=\"my.conf /etc/apache2/other.conf\"\n")
            .file("/etc/apache2/my.conf", vhost("*:80", "my.test"))
            .file("/etc/apache2/other.conf", vhost("*:80", "other.test"))
    };
    let plain = "Listen 80\n";
    let including = "Listen 80\nInclude /etc/apache2/sysconfig.d/include.conf\n";
    let generated = "Include /etc/apache2/my.conf\n";
    assert_eq!(names(&more().file(SUSE, plain).scan_from(SUSE, None)), ["my.test", "other.test"]);
    for main in [plain, including] {
        let t = more().file(SUSE, main).file("/etc/apache2/sysconfig.d/include.conf", generated);
        assert_eq!(names(&t.scan_from(SUSE, None)), ["my.test"], "{main}");
    }
}
