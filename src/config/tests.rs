#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

mod bad;

fn load(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agent.toml");
    std::fs::write(&file, text).unwrap();
    Config::load_with(Some(&file), env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
}

#[test]
fn layers_stand_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agent.toml");
    std::fs::write(
        &file,
        "[resolver]\ntimeout = \"1s\"\nattempts = 3\n[[exempt]]\nname='a.cn'\nby='x'\nwhy='y'\n",
    )
    .unwrap();
    std::fs::create_dir(dir.path().join("conf.d")).unwrap();
    std::fs::write(
        dir.path().join("conf.d/10.toml"),
        "[resolver]\ntimeout = \"2s\"\n[[exempt]]\nname='b.cn'\nby='x'\nwhy='y'\n",
    )
    .unwrap();
    std::fs::write(dir.path().join("conf.d/.hidden.toml"), "nonsense").unwrap();
    let env = |k: &str, v: &str| (k.to_owned(), v.to_owned());
    let cfg = Config::load_with(
        Some(&file),
        vec![
            env("BEIAN_AGENT__LIMITS__FILES", "7"),
            env("BEIAN_AGENT__RESOLVER__SERVERS", "127.0.0.1:5353,::1"),
            env("BEIAN_OTHER", "x"),
        ],
    )
    .unwrap();
    assert_eq!(cfg.resolver.timeout, Duration::from_secs(2));
    assert_eq!(cfg.resolver.attempts, 3);
    assert_eq!(cfg.limits.files, 7);
    assert_eq!(cfg.resolver.servers, ["127.0.0.1:5353".parse().unwrap(), "[::1]:53".parse().unwrap()]);
    assert_eq!(cfg.exempt.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["a.cn", "b.cn"]);
    assert_eq!(cfg.files.len(), 2);
}

#[test]
fn unknown_keys_are_errors_and_name_the_file() {
    for text in [
        "no_such_key = 1\n",
        "[resolver]\nno_such_key = 1\n",
        "[[registry]]\nname='a'\nkind='provider_db'\npath='/x'\nno_such_key=1\n",
    ] {
        let e = load(text, &[]).unwrap_err().0.en;
        assert!(e.contains("no_such_key"), "{e}");
        assert!(!e.contains('\n'));
    }
    assert!(load("", &[("BEIAN_AGENT__NO__SUCH", "1")]).is_err());
}

#[test]
fn errors_speak_both_languages_in_one_line() {
    let registry = "[[registry]]\nname='a'\n";
    for bad in [
        "no_such_key = 1\n",
        "[agent]\nlang = 'fr'\n",
        "[server]\npublic_addresses = ['x']\n",
        "[resolver]\nservers = ['x']\n",
        "[resolver]\nattempts = 0\n",
        "[resolver]\ntimeout = '5'\n",
        "[limits]\nfiles = 0\n",
        "[serve]\nlisten = 'x'\n",
        "[hub]\nurl = 'x'\n",
        "[exposure]\ncdn_suffixes = ['.']\n",
        "[[exempt]]\nname = 'a.cn'\n",
        "[[exempt]]\nname = 'a.cn'\nby = 'x'\nwhy = 'y'\nuntil = 'z'\n",
        "registry = 1\n",
        "not toml\n",
        "[[registry]]\nname = 'a b'\n",
        &format!("{registry}kind = 'x'\n"),
        &format!("{registry}kind = 'hub'\n"),
        &format!("{registry}kind = 'provider_db'\n"),
        &format!("{registry}kind = 'ministry_list'\nurl = 'http://192.0.2.1'\n"),
        &format!("{registry}kind = 'ministry_list'\nurl = 'ftp://192.0.2.1'\n"),
        &format!("{registry}kind = 'json_api'\nurl = 'https://x.example.com'\npreset = 'x'\n"),
        &format!("{registry}kind = 'provider_db'\npath = '/x'\nrate = 'x'\n"),
        &format!(
            "{registry}kind = 'provider_db'\npath = '/x'\n{registry}kind = 'provider_db'\npath = '/x'\n"
        ),
    ] {
        let Text { en, zh } = load(bad, &[]).expect_err(bad).0;
        assert!(!en.is_empty() && !en.contains('\n') && !zh.contains('\n'), "{bad}");
        assert!(en != zh && zh.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)), "{bad}: {zh}");
    }
    assert!(Config::load_with(Some(Path::new("/no/such")), vec![]).unwrap_err().0.zh.contains("没有"));
}

#[test]
fn kind_hub_needs_a_hub_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let agent = format!("[agent]\nstate_dir = {:?}\n", dir.path());
    let central = "[[registry]]\nname = 'central'\nkind = 'hub'\n";
    let url = "[hub]\nurl = 'https://hub.example.com'\n";
    let refused = |text: &str| load(&format!("{agent}{text}"), &[]).unwrap_err().0;
    assert!(refused(central).en.contains("[hub] url"));
    // The address, or an enrolment, says which one.
    let cfg = load(&format!("{agent}{url}{central}"), &[]).unwrap();
    assert_eq!((&cfg.registries[0].kind, cfg.registries[0].name.as_str()), (&RegistryKind::Hub, "central"));
    assert_eq!(cfg.registries[0].timeout, Duration::from_secs(30));
    assert!(cfg.warnings.is_empty(), "canaries are the hub's business: {:?}", cfg.warnings);
    std::fs::write(enrolment_path(dir.path()), "{}").unwrap();
    assert!(load(&format!("{agent}{central}"), &[]).is_ok());
    for (more, key) in [
        ("url = 'https://hub.example.com'\n", "url"),
        ("canary = 'example.cn'\n", "canary"),
        ("negative = 'ambiguous'\n", "negative"),
        ("rate = '2/s'\n", "rate"),
        ("[[registry]]\nname = 'b'\nkind = 'hub'\n", "kind"),
    ] {
        let e = refused(&format!("{central}{more}"));
        assert!(e.en.contains(key) && e.zh.contains(key), "{e:?}");
    }
    let timeout = load(&format!("{agent}{central}timeout = '5s'\n"), &[]).unwrap();
    assert_eq!(timeout.registries[0].timeout, Duration::from_secs(5));
}

#[test]
fn the_hub_is_the_registry_where_none_is_configured() {
    let mut cfg = load("", &[]).unwrap();
    cfg.ask_hub_by_default();
    cfg.ask_hub_by_default();
    assert_eq!(cfg.registries, [Registry::hub()]);
    assert_eq!(cfg.pick_registries(&["hub".to_owned()]).unwrap().len(), 1);
    let mut cfg = load("[[registry]]\nname='a'\nkind='provider_db'\npath='/x'\n", &[]).unwrap();
    cfg.ask_hub_by_default();
    assert_eq!(cfg.registries.len(), 1);
    assert_eq!(cfg.registries[0].name, "a");
}

#[test]
fn errors_never_quote_a_secret() {
    for text in [
        "[[registry]]\nname='a'\nkind='json_api'\npreset='chinaz'\nurl='http://127.0.0.1/'\nkey = [\"GEHEIM\"]\n",
        "[[registry]]\nname='a'\nkey = \"GEHEIM\n",
        "[[registry]]\nname='a'\nkey = GEHEIM\n",
        "[[registry]]\nname='a'\nkind='json_api'\npreset='chinaz'\nurl='http://u:GEHEIM@127.0.0.1/'\n",
    ] {
        let e = load(text, &[]).unwrap_err().0;
        assert!(!e.en.contains("GEHEIM") && !e.zh.contains("GEHEIM"), "{e:?}");
    }
    for text in [
        "hub = \"https://u:GEHEIM@hub.example.com\"\n",
        "limits = \"GEHEIM\"\n",
        "[limits]\nfiles = \"GEHEIM, expected GEHEIM\"\n",
        "[agent]\nroot = [\"GEHEIM\"]\n",
        "[hub]\nurl = \"GEHEIM\"\n",
    ] {
        let e = load(text, &[]).expect_err(text).0;
        assert!(!e.en.contains("GEHEIM") && !e.zh.contains("GEHEIM"), "{e:?}");
    }
    for key in ["BEIAN_AGENT__HUB", "BEIAN_AGENT__LIMITS__FILES", "BEIAN_AGENT__LIMITS"] {
        let e = load("", &[(key, "GEHEIM")]).expect_err(key).0;
        assert!(!e.en.contains("GEHEIM") && !e.zh.contains("GEHEIM"), "{e:?}");
    }
}

#[test]
fn secrets_come_from_files_or_the_environment_and_never_show() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    std::fs::write(&key, "GEHEIM-1\n").unwrap();
    let text = format!(
        "[[registry]]\nname='my-api'\nkind='json_api'\npreset='chinaz'\nurl='https://api.example.com'\nkey_file='{}'\n",
        key.display()
    );
    let secret = |cfg: &Config| match &cfg.registries[0].kind {
        RegistryKind::JsonApi { key, .. } => key.as_ref().unwrap().expose().to_owned(),
        _ => unreachable!(),
    };
    let cfg = load(&text, &[]).unwrap();
    assert_eq!(secret(&cfg), "GEHEIM-1");
    let cfg = load(&text, &[("BEIAN_AGENT__REGISTRY__MY_API__KEY", "GEHEIM-2")]).unwrap();
    assert_eq!(secret(&cfg), "GEHEIM-2");
    let cfg = load(
        "[[registry]]\nname='a'\nkind='yd2431'\nurl='https://x.example.com'\nisp_id='1'\nuser='u'\npassword='GEHEIM-3'\n",
        &[],
    )
    .unwrap();
    assert!(!format!("{cfg:?}").contains("GEHEIM"));
    assert!(!toml::to_string(&cfg.raw).unwrap().contains("GEHEIM"));
}

#[test]
fn negatives_of_public_sources_cannot_be_declared_authoritative() {
    for kind in ["kind='ministry_list'", "kind='json_api'\npreset='mir6'"] {
        let text = format!(
            "[[registry]]\nname='a'\n{kind}\nurl='https://x.example.com'\nnegative='authoritative'\n"
        );
        assert!(load(&text, &[]).unwrap_err().0.en.contains("authoritative"));
    }
}

#[test]
fn plain_http_leaves_loopback_only_when_allowed_and_then_proves_little() {
    let base = "[[registry]]\nname='a'\nkind='yd2431'\nisp_id='1'\nuser='u'\npassword='p'\n";
    assert!(
        load(&format!("{base}url='http://192.0.2.1/'\n"), &[]).unwrap_err().0.en.contains("allow_plain_http")
    );
    let cfg = load(&format!("{base}url='http://192.0.2.1/'\nallow_plain_http=true\n"), &[]).unwrap();
    assert_eq!((cfg.registries[0].negative, cfg.registries[0].trusted), (Negative::Ambiguous, false));
    assert!(!cfg.warnings.is_empty());
    let cfg =
        load(&format!("{base}url='http://192.0.2.1/'\nallow_plain_http=true\ntrusted_network=true\n"), &[])
            .unwrap();
    assert_eq!((cfg.registries[0].negative, cfg.registries[0].trusted), (Negative::Authoritative, true));
    let cfg = load(&format!("{base}url='http://127.0.0.1:8080/x'\n"), &[]).unwrap();
    assert!(cfg.registries[0].trusted);
}

#[test]
fn registries_are_picked_by_name_or_file() {
    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("f.csv");
    std::fs::write(&csv, "domain\n").unwrap();
    let cfg = load(
        "[[registry]]\nname='a'\nkind='ministry_list'\nurl='https://x.example.com'\ncanary='c.cn'\n",
        &[],
    )
    .unwrap();
    assert_eq!(cfg.pick_registries(&[]).unwrap().len(), 1);
    assert_eq!(cfg.registries[0].canary, ["c.cn"]);
    let picked = cfg.pick_registries(&[format!("file:{}", csv.display()), "a".into()]).unwrap();
    assert_eq!(picked[0].negative, Negative::Authoritative);
    assert!(cfg.pick_registries(&["b".into()]).unwrap_err().0.en.contains("configured: a"));
    assert!(cfg.pick_registries(&["file:/no/such".into()]).is_err());
}

#[test]
fn durations_and_rates() {
    assert_eq!(parse_duration("700ms").unwrap(), Duration::from_millis(700));
    assert_eq!(parse_duration("7d").unwrap(), Duration::from_secs(7 * 86400));
    for bad in ["", "5", "s", "-1s", "0s", "1.5s", "1w", "99999999999999999999d", "9999999999999999d"] {
        assert!(parse_duration(bad).is_err(), "{bad}");
    }
    let base = "[[registry]]\nname='a'\nkind='ministry_list'\nurl='https://x.example.com'\n";
    for bad in ["0/s", "5", "5/h", "x/s", "5/day"] {
        assert!(load(&format!("{base}rate='{bad}'\n"), &[]).is_err(), "{bad}");
    }
    assert_eq!(load(&format!("{base}rate='100/m'\n"), &[]).unwrap().registries[0].rate.unwrap().count, 100);
}

#[test]
fn every_documented_key_of_the_shipped_file_is_known() {
    let shipped = include_str!("../../config/agent.toml");
    // Commented-out settings are the documentation of the defaults: switch
    // them on, and the file must still be taken.
    let mut on = String::new();
    for line in shipped.lines() {
        match line.strip_prefix("# ") {
            Some(l)
                if l.starts_with('[')
                    || l.split_once(" = ")
                        .is_some_and(|(k, _)| k.chars().all(|c| c.is_ascii_lowercase() || c == '_')) =>
            {
                on.push_str(l)
            }
            _ if line.starts_with('#') => {}
            _ => on.push_str(line),
        }
        on.push('\n');
    }
    load(&on, &[]).unwrap();
    load(shipped, &[]).unwrap();
}
