#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn points() -> Vec<Point> {
    let text = || Text::new("found \u{1b}[2J", "发现");
    vec![
        Point::ok("settings", text()),
        Point::warning("registry", text(), text()).of("a\nb"),
        Point::fault("hub", text(), Text::new("do this", "这样做")),
    ]
}

#[test]
fn the_worst_point_decides() {
    let all = points();
    assert_eq!(worst(&all), State::Fault);
    assert_eq!(worst(&all[..2]), State::Warning);
    assert_eq!(worst(&all[..1]), State::Ok);
    assert_eq!(worst(&[]), State::Ok);
}

#[test]
fn a_table_says_what_to_do_in_the_readers_language() {
    for (lang, word, todo) in [(Lang::Zh, "故障", "→ 这样做"), (Lang::En, "fault", "→ do this")] {
        let mut out = Vec::new();
        write_table(&mut out, &points(), Look { width: 80, color: false }, lang).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains(word) && out.contains(todo), "{out}");
        assert!(!out.contains('\u{1b}'), "{out}");
        assert_eq!(out.lines().count(), 7, "{out}");
    }
}

#[test]
fn json_is_english_and_has_every_point() {
    let json = serde_json::to_value(wire(&points())).unwrap();
    assert_eq!(json["schema"], "beian.doctor/1");
    assert_eq!(json["state"], "fault");
    assert_eq!(json["checks"][1]["which"], "a\nb");
    assert_eq!(json["checks"][2]["todo"], "do this");
    assert!(json["checks"][0].get("todo").is_none());
}
