//! How fast an nginx tree in a panel's style is read: one file a site, each
//! with two includes.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;

use beian::config::Limits;
use beian::source::Source;
use beian::vhost::{Entry, nginx};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const SITE: &str = r#"server
{
    listen 80;
    listen 443 ssl http2;
    server_name NAME www.NAME;
    index index.php index.html index.htm default.php;
    root /www/wwwroot/NAME;

    #SSL-START SSL related settings, do not remove the next comment
    ssl_certificate    /www/server/panel/vhost/cert/NAME/fullchain.pem;
    ssl_certificate_key    /www/server/panel/vhost/cert/NAME/privkey.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    add_header Strict-Transport-Security "max-age=31536000";
    error_page 497  https://$host$request_uri;
    #SSL-END

    include enable-php-74.conf;
    include /www/server/panel/vhost/rewrite/NAME.conf;

    location ~ ^/(\.user.ini|\.htaccess|\.git|\.env|\.svn|\.project|LICENSE|README.md)
    {
        return 404;
    }
    location ~ \.well-known{
        allow all;
    }
    if ( $uri ~ "^/\.well-known/.*\.(php|jsp|py|js|css|lua|ts|go|zip|tar\.gz|rar|7z|sql|bak)$" ) {
        return 403;
    }
    location ~ .*\.(gif|jpg|jpeg|png|bmp|swf)$
    {
        expires      30d;
        access_log /dev/null;
    }
    access_log  /www/wwwlogs/NAME.log;
    error_log  /www/wwwlogs/NAME.error.log;
}
"#;

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).expect("a folder");
    }
    std::fs::write(path, text).expect("a file");
}

fn tree(root: &Path, sites: usize) {
    let conf = "www/server/nginx/conf";
    write(
        root,
        &format!("{conf}/nginx.conf"),
        "events {}\nhttp {\n    include mime.types;\n    include /www/server/panel/vhost/nginx/*.conf;\n}\n",
    );
    write(root, &format!("{conf}/mime.types"), "types { text/html html; }\n");
    write(
        root,
        &format!("{conf}/enable-php-74.conf"),
        "location ~ [^/]\\.php(/|$) { fastcgi_pass unix:/tmp/php-cgi-74.sock; }\n",
    );
    for i in 0..sites {
        let name = format!("site{i:05}.example.com");
        let vhost = "www/server/panel/vhost";
        write(root, &format!("{vhost}/nginx/{name}.conf"), &SITE.replace("NAME", &name));
        write(root, &format!("{vhost}/rewrite/{name}.conf"), "");
    }
}

fn read(root: &Path) -> usize {
    let src = Source::open(root, Limits::default()).expect("the root");
    let entry = Entry { path: b"/www/server/nginx/conf/nginx.conf".to_vec(), args: None };
    nginx::read(&src, &entry).sites.len()
}

fn trees(c: &mut Criterion) {
    let mut group = c.benchmark_group("nginx/tree");
    for sites in [10, 1_000] {
        let dir = tempfile::tempdir().expect("a folder");
        tree(dir.path(), sites);
        assert_eq!(read(dir.path()), sites);
        group.throughput(Throughput::Elements(sites as u64));
        group.bench_with_input(BenchmarkId::from_parameter(sites), &sites, |b, _| {
            b.iter(|| black_box(read(dir.path())));
        });
    }
    group.finish();
}

fn one_file(c: &mut Criterion) {
    let mut group = c.benchmark_group("nginx/one-file");
    let dir = tempfile::tempdir().expect("a folder");
    tree(dir.path(), 0);
    let mut text = String::from("events {}\nhttp {\n");
    for i in 0..2_000 {
        let site = SITE.replace("NAME", &format!("n{i}.example.com"));
        let _ = writeln!(text, "{}", site.replace("    include", "    # include"));
    }
    text.push_str("}\n");
    write(dir.path(), "www/server/nginx/conf/nginx.conf", &text);
    assert_eq!(read(dir.path()), 2_000);
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("2000", |b| b.iter(|| black_box(read(dir.path()))));
    group.finish();
}

criterion_group!(benches, trees, one_file);
criterion_main!(benches);
