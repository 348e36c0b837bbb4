//! Settings that cannot be used: each error leads to its place, says what is
//! expected there, in whole sentences of both languages, and keeps to itself
//! what was found.

use super::*;

/// What is found wherever something else belongs.
const FOUND: &str = "GEHEIM";

/// The text of a file, and what its error must name.
const BAD: &[(&str, &[&str])] = &[
    ("no_such_key = 'GEHEIM'", &["no_such_key"]),
    ("timeout = 'GEHEIM'", &["timeout", "[resolver]"]),
    ("\"a\\nb\" = 'GEHEIM'", &["ab"]),
    ("hub = 'GEHEIM'", &["hub", "[hub]"]),
    ("limits = ['GEHEIM']", &["limits", "[limits]"]),
    ("registry = 'GEHEIM'", &["registry", "[[registry]]"]),
    ("[registry]\nname = 'GEHEIM'", &["registry", "[[registry]]"]),
    ("[exempt]\nname = 'GEHEIM'", &["exempt", "[[exempt]]"]),
    ("registry = ['GEHEIM']", &["registry", "[[registry]]"]),
    ("[resolver]\ntimout = 'GEHEIM'", &["[resolver]", "timout", "timeout"]),
    ("[resolver]\nquite_unlike = 'GEHEIM'", &["[resolver]", "quite_unlike", "servers"]),
    ("[resolvr]\ntimeout = 'GEHEIM'", &["resolvr", "resolver"]),
    ("[agent]\nroot = ['GEHEIM']", &["[agent] root"]),
    ("[agent]\nstate_dir = 7", &["[agent] state_dir"]),
    ("[agent]\nlang = 'GEHEIM'", &["[agent] lang", "\"zh\"", "\"en\""]),
    ("[agent]\nlang = ['GEHEIM']", &["[agent] lang", "\"zh\"", "\"en\""]),
    ("[server]\nmainland = 'GEHEIM'", &["[server] mainland", "true", "false"]),
    ("[server]\npublic_addresses = 'GEHEIM'", &["[server] public_addresses", "[\"a\", \"b\"]"]),
    ("[server]\npublic_addresses = ['::1', 'GEHEIM']", &["[server] public_addresses", "2", "203.0.113.10"]),
    ("[scan]\ninterval = 'GEHEIM'", &["[scan] interval", "\"5m\""]),
    ("[scan]\ninterval = 60", &["[scan] interval", "\"5m\""]),
    ("[scan]\ninterval = '0s'", &["[scan] interval", "\"5m\""]),
    ("[limits]\nfiles = 'GEHEIM'", &["[limits] files"]),
    ("[limits]\nfiles = -1", &["[limits] files"]),
    ("[limits]\nfiles = 0", &["[limits] files"]),
    ("[limits]\nfile_bytes = 1.5", &["[limits] file_bytes"]),
    ("[limits]\ninclude_depth = 4294967296", &["[limits] include_depth", "4294967295"]),
    ("[limits]\nseconds = ['GEHEIM']", &["[limits] seconds"]),
    ("[resolver]\ntimeout = 'GEHEIM'", &["[resolver] timeout", "\"30s\""]),
    ("[resolver]\ntimeout = 3", &["[resolver] timeout", "\"30s\""]),
    ("[resolver]\nattempts = 'GEHEIM'", &["[resolver] attempts"]),
    ("[resolver]\nattempts = 0", &["[resolver] attempts", "10"]),
    ("[resolver]\nservers = 'GEHEIM'", &["[resolver] servers", "[\"a\", \"b\"]"]),
    ("[resolver]\nservers = ['GEHEIM']", &["[resolver] servers", "1", "127.0.0.1:53"]),
    ("[exposure]\ncdn_suffixes = ['.']", &["[exposure] cdn_suffixes"]),
    ("[exposure]\ncdn_suffixes = [7]", &["[exposure] cdn_suffixes", "[\"a\", \"b\"]"]),
    ("[serve]\nlisten = 'GEHEIM'", &["[serve] listen", "127.0.0.1:9690"]),
    ("[serve]\nlisten = 9690", &["[serve] listen", "127.0.0.1:9690"]),
    ("[serve]\ntoken_file = true", &["[serve] token_file"]),
    ("[hub]\nurl = 'GEHEIM'", &["[hub] url", "https://"]),
    ("[hub]\nurl = 'https://u:GEHEIM@x:99999'", &["[hub] url", "65535"]),
    ("[hub]\nurl = 'https://'", &["[hub] url"]),
    ("[hub]\nurl = GEHEIM", &["2", "7", "TOML"]),
    ("[hub]\nurl = \"GEHEIM", &["2", "TOML"]),
    ("[hub\nurl = 'GEHEIM'", &["1", "TOML"]),
    ("[hub]\nurl", &["2", "TOML"]),
    ("GEHEIM", &["1", "TOML"]),
    ("[hub]\nurl = 'GEHEIM'\nurl = 'GEHEIM'", &["3", "TOML"]),
    ("[log]\njson_file = 1", &["[log] json_file"]),
    ("[[exempt]]\nname = 'a.cn'", &["[[exempt]] a.cn", "by", "why"]),
    ("[[exempt]]\nby = 'GEHEIM'", &["[[exempt]] #1", "name"]),
    (
        "[[exempt]]\nname = 'a.cn'\nby = 'x'\nwhy = 'y'\nuntil = 'GEHEIM'",
        &["[[exempt]] a.cn", "until", "2027-01-31"],
    ),
    (
        "[[exempt]]\nname = 'a.cn'\nby = 'x'\nwhy = 'y'\nuntil = 2027-01-31",
        &["[[exempt]] a.cn", "until", "\"2027-01-31\""],
    ),
    ("[[registry]]\nkind = 'GEHEIM'", &["[[registry]] #1", "name"]),
    ("[[registry]]\nname = 'a b'\nkind = 'GEHEIM'", &["[[registry]] #1", "name"]),
    ("[[registry]]\nname = 'a'\nno_such_key = 'GEHEIM'", &["[[registry]] a", "no_such_key"]),
    ("[[registry]]\nname = 'a'\nkey = ['GEHEIM']", &["[[registry]] a", "key"]),
    ("[[registry]]\nname = 'a'\nnegative = 'GEHEIM'", &["[[registry]] a", "negative", "ambiguous"]),
    ("[[registry]]\nname = 'a'\nhash_order = 'GEHEIM'", &["[[registry]] a", "hash_order", "rand_password"]),
    ("[[registry]]\nname = 'a'\ncanary = [['GEHEIM']]", &["[[registry]] a", "canary"]),
    ("[[registry]]\nname = 'a'\ntrusted_network = 'GEHEIM'", &["[[registry]] a", "trusted_network", "true"]),
    ("[[registry]]\nname = 'a'\nrate = 5", &["[[registry]] a", "rate", "5/s"]),
    ("[[registry]]\nname = 'a'\nkind = 'GEHEIM'", &["[[registry]] a", "kind", "provider_db"]),
    ("[[registry]]\nname = 'a'\nkind = 'hub'", &["[[registry]] a", "kind", "hub"]),
    ("[[registry]]\nname = 'a'\nkind = 'provider_db'", &["[[registry]] a", "path"]),
    ("[[registry]]\nname = 'a'\nkind = 'provider_db'\nurl = 'GEHEIM'", &["[[registry]] a", "url", "path"]),
    (
        "[[registry]]\nname = 'a'\nkind = 'provider_db'\npath = '/x'\nrate = 'GEHEIM'",
        &["[[registry]] a", "rate", "5/s"],
    ),
    (
        "[[registry]]\nname = 'a'\nkind = 'provider_db'\npath = '/x'\ntimeout = 'GEHEIM'",
        &["[[registry]] a", "timeout", "\"30s\""],
    ),
    (
        "[[registry]]\nname = 'a'\nkind = 'provider_db'\npath = '/x'\n[[registry]]\nname = 'a'\nkind = 'provider_db'\npath = '/x'",
        &["[[registry]] a", "name"],
    ),
    (
        "[[registry]]\nname = 'a'\nkind = 'ministry_list'\nurl = 'GEHEIM'",
        &["[[registry]] a", "url", "https://"],
    ),
    (
        "[[registry]]\nname = 'a'\nkind = 'ministry_list'\nurl = 'https://u:GEHEIM@x.cn'",
        &["[[registry]] a", "url", "password"],
    ),
    (
        "[[registry]]\nname = 'a'\nkind = 'ministry_list'\nurl = 'http://192.0.2.1/GEHEIM'",
        &["[[registry]] a", "url", "allow_plain_http"],
    ),
    (
        "[[registry]]\nname = 'a'\nkind = 'ministry_list'\nurl = 'ftp://192.0.2.1/GEHEIM'",
        &["[[registry]] a", "url", "https"],
    ),
    (
        "[[registry]]\nname = 'a'\nkind = 'ministry_list'\nurl = 'https://x.cn/GEHEIM'\nnegative = 'authoritative'",
        &["[[registry]] a", "negative", "ambiguous"],
    ),
    (
        "[[registry]]\nname = 'a'\nkind = 'json_api'\nurl = 'https://x.cn'\npreset = 'GEHEIM'",
        &["[[registry]] a", "preset", "chinaz"],
    ),
    (
        "[[registry]]\nname = 'a'\nkind = 'json_api'\nurl = 'https://x.cn'\npreset = 'mir6'\nkey_file = '/GEHEIM'",
        &["[[registry]] a", "key_file"],
    ),
    (
        "[[registry]]\nname = 'a'\nkind = 'json_api'\nurl = 'https://x.cn'\npreset = 'mir6'\nkey = 'GEHEIM'\nkey_file = '/x'",
        &["[[registry]] a", "key", "key_file"],
    ),
    (
        "[[registry]]\nname = 'a'\nkind = 'yd2431'\nurl = 'https://x.cn'\nisp_id = '1'\nuser = 'GEHEIM'",
        &["[[registry]] a", "password"],
    ),
];

/// A variable, its value, and what its error must name beside the variable.
const BAD_VARIABLES: &[(&str, &str, &[&str])] = &[
    ("BEIAN_AGENT__HUB", "GEHEIM", &["BEIAN_AGENT__RESOLVER__TIMEOUT"]),
    ("BEIAN_AGENT__NO__SUCH", "GEHEIM", &["no", "resolver"]),
    ("BEIAN_AGENT__RESOLVER__TIMOUT", "GEHEIM", &["[resolver]", "timout", "timeout"]),
    ("BEIAN_AGENT__RESOLVER__TIMEOUT", "GEHEIM", &["[resolver] timeout", "\"30s\""]),
    ("BEIAN_AGENT__RESOLVER__ATTEMPTS", "GEHEIM", &["[resolver] attempts"]),
    ("BEIAN_AGENT__RESOLVER__ATTEMPTS", "99", &["[resolver] attempts", "10"]),
    ("BEIAN_AGENT__RESOLVER__SERVERS", "127.0.0.1,GEHEIM", &["[resolver] servers", "2"]),
    ("BEIAN_AGENT__SERVER__MAINLAND", "GEHEIM", &["[server] mainland", "true"]),
    ("BEIAN_AGENT__LIMITS__FILES", "-1", &["[limits] files"]),
    ("BEIAN_AGENT__HUB__URL", "GEHEIM", &["[hub] url", "https://"]),
    ("BEIAN_AGENT__REGISTRY__A__URL", "GEHEIM", &["__KEY", "__PASSWORD"]),
];

/// One line a language, whole, in that language alone.
fn said(what: &str, e: &ConfigError, names: &[&str]) {
    let Text { en, zh } = &e.0;
    for line in [en, zh] {
        assert!(!line.contains(FOUND), "{what}: {line}");
        assert!(!line.contains(['\n', '\u{1b}']), "{what}: {line}");
        for name in names {
            assert!(line.contains(name), "{what}: {name} is not in: {line}");
        }
        for internal in
            ["Raw", "struct", "TomlError", "serde", "OneOrMany", "Relative", "invalid type", "os error"]
        {
            assert!(!line.contains(internal), "{what}: {line}");
        }
    }
    let chinese = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
    assert!(!en.contains(chinese) && zh.contains(chinese), "{what}: {en} | {zh}");
    // Names of keys, kinds and examples are the same everywhere; words that
    // make English sentences have no place in the Chinese one.
    for word in zh.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        let english = [
            "a", "an", "is", "are", "it", "the", "this", "that", "of", "to", "for", "not", "no", "expected",
            "unknown", "missing", "invalid", "found", "value", "string", "integer", "needs", "with",
            "without", "write", "like", "one", "cannot", "be", "such",
        ];
        let named = names
            .iter()
            .any(|n| n.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|w| w == word));
        let of_an_example = word == "a" && (zh.contains("[\"a\", \"b\"]") || zh.contains("\"a\" 或"));
        assert!(!english.contains(&word) || named || of_an_example, "{what}: {word}: {zh}");
    }
}

#[test]
fn every_error_leads_to_its_place_and_says_what_is_expected() {
    assert!(BAD.len() + BAD_VARIABLES.len() >= 60);
    for (text, names) in BAD {
        let e = load(text, &[]).expect_err(text);
        said(text, &e, names);
        assert!(e.0.en.contains("agent.toml: ") && e.0.zh.contains("agent.toml："), "{e:?}");
    }
    for (variable, value, names) in BAD_VARIABLES {
        let e = load("", &[(variable, value)]).expect_err(variable);
        said(variable, &e, names);
        assert!(e.0.en.starts_with(variable) && e.0.zh.starts_with(variable), "{variable}: {e:?}");
    }
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("gbk.toml"), b"# \xb1\xb8\xb0\xb8\n").unwrap();
    std::fs::create_dir(dir.path().join("folder.toml")).unwrap();
    std::fs::write(dir.path().join("plain"), "").unwrap();
    for file in ["no-such-file.toml", "gbk.toml", "folder.toml", "plain/agent.toml"] {
        let e = Config::load_with(Some(&dir.path().join(file)), vec![]).expect_err(file);
        said(file, &e, &[file]);
    }
    let cfg = load("", &[]).unwrap();
    for wanted in ["nobody", "file:/none"] {
        said(wanted, &cfg.pick_registries(&[wanted.into()]).unwrap_err(), &["--registry", wanted]);
    }
}

#[test]
fn the_last_layer_that_said_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let main = dir.path().join("agent.toml");
    std::fs::create_dir(dir.path().join("conf.d")).unwrap();
    std::fs::write(
        &main,
        "[resolver]\ntimeout = 'x'\n[[registry]]\nname='a'\nkind='provider_db'\npath='/x'\n",
    )
    .unwrap();
    let load = |text: &str, env: &[(&str, &str)]| {
        std::fs::write(dir.path().join("conf.d/10.toml"), text).unwrap();
        Config::load_with(Some(&main), env.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect())
    };
    let e = load("", &[]).unwrap_err().0.en;
    assert!(e.contains("agent.toml: [resolver] timeout: "), "{e}");
    let e = load("[resolver]\ntimeout = 'y'\n", &[]).unwrap_err().0.en;
    assert!(e.contains("10.toml: [resolver] timeout: "), "{e}");
    let variable = "BEIAN_AGENT__RESOLVER__TIMEOUT";
    let e = load("", &[(variable, "z")]).unwrap_err().0.en;
    assert!(e.starts_with("BEIAN_AGENT__RESOLVER__TIMEOUT: [resolver] timeout: "), "{e}");
    let e = load("[[registry]]\nname='b'\nkind='none'\n", &[(variable, "1s")]).unwrap_err().0.en;
    assert!(e.contains("10.toml: [[registry]] b: kind: "), "{e}");
    assert!(load("", &[(variable, "1s")]).is_ok());
}

#[test]
fn a_secret_for_no_registry_is_pointed_out() {
    let text =
        "[[registry]]\nname='my-api'\nkind='json_api'\npreset='chinaz'\nurl='https://x.cn'\ncanary='c.cn'\n";
    let warnings = |variable: &str| load(text, &[(variable, FOUND)]).unwrap().warnings;
    assert!(warnings("BEIAN_AGENT__REGISTRY__MY_API__KEY").is_empty());
    let stray = warnings("BEIAN_AGENT__REGISTRY__MY_APY__KEY");
    assert_eq!(stray.len(), 1);
    assert!(stray[0].zh.starts_with("BEIAN_AGENT__REGISTRY__MY_APY__KEY："), "{stray:?}");
}
