use super::*;

fn voice(say: Say, authority: bool) -> Voice {
    let facts = match say {
        Say::Filed | Say::Restricted => {
            Facts { site_licence: Some("蜀ICP备00000001号-2".into()), ..Facts::default() }
        }
        _ => Facts::default(),
    };
    Voice { say, authority, access: None, facts, filed_for: None, at: Timestamp::UNIX_EPOCH }
}

/// Every voice that a source can raise: an authoritative one (yd2431) never
/// says `Suspected`, a public one never `NotFiled`.
fn all_voices() -> Vec<Voice> {
    let mut out = Vec::new();
    for (authority, says) in [
        (true, [Say::Filed, Say::NotFiled, Say::Silent(Some(Why::Timeout))].as_slice()),
        (false, &[Say::Filed, Say::Restricted, Say::Suspected, Say::Silent(Some(Why::Blocked))]),
    ] {
        out.extend(says.iter().map(|s| voice(*s, authority)));
    }
    for (say, access) in [
        (Say::Filed, AccessState::Here),
        (Say::Filed, AccessState::Pending),
        (Say::Filed, AccessState::Elsewhere),
        (Say::NotConnected, AccessState::Elsewhere),
        (Say::Silent(None), AccessState::Pending),
        (Say::Silent(None), AccessState::Unknown),
        (Say::Silent(Some(Why::Malformed)), AccessState::Unknown),
    ] {
        out.push(Voice { access: Some(access), ..voice(say, true) });
    }
    out
}

fn merge(voices: &[(&str, &Voice)]) -> Filing {
    let said: Vec<_> = voices.iter().map(|(n, v)| (Speaker { name: n, upstream: n }, *v)).collect();
    combine(&said)
}

#[test]
fn one_voice() {
    for v in all_voices() {
        let f = merge(&[("a", &v)]);
        let (state, why) = match v.say {
            Say::Filed => (FilingState::Filed, None),
            Say::Restricted => (FilingState::Restricted, None),
            Say::NotFiled => (FilingState::NotFiled, None),
            Say::Suspected => (FilingState::SuspectedNotFiled, None),
            Say::NotConnected | Say::Silent(None) => (FilingState::Unknown, Some(Why::NoRegistry)),
            Say::Silent(why) => (FilingState::Unknown, why),
        };
        assert_eq!((f.state, f.why), (state, why), "{v:?}");
        assert_eq!(f.access, v.access.unwrap_or(AccessState::Unknown), "{v:?}");
        assert_eq!(f.site_licence.is_some(), matches!(v.say, Say::Filed | Say::Restricted));
    }
}

/// The rules of Q9 over every pair, in both orders.
#[test]
fn every_pair() {
    let all = all_voices();
    let mut pairs = 0;
    for a in &all {
        for b in &all {
            let f = merge(&[("a", a), ("b", b)]);
            let both = [a, b];
            let any = |say: Say| both.iter().any(|v| v.say == say);
            let yes = |v: &&&Voice| matches!(v.say, Say::Filed | Say::Restricted);
            let sure_yes = both.iter().any(|v| yes(&v) && v.authority);
            let public_yes = both.iter().any(|v| yes(&v) && !v.authority);
            let want = if any(Say::NotFiled) && sure_yes {
                FilingState::Unknown
            } else if any(Say::NotFiled) {
                FilingState::NotFiled
            } else if any(Say::Restricted) {
                FilingState::Restricted
            } else if sure_yes || public_yes {
                FilingState::Filed
            } else {
                match both.iter().filter(|v| v.say == Say::Suspected).count() {
                    0 => FilingState::Unknown,
                    1 => FilingState::SuspectedNotFiled,
                    _ => FilingState::NotFiled,
                }
            };
            assert_eq!(f.state, want, "{a:?} {b:?}");
            assert_eq!(f.why == Some(Why::SourcesDisagree), any(Say::NotFiled) && sure_yes);
            assert_eq!(f.why.is_some(), f.state == FilingState::Unknown);
            assert_eq!(f.sources.len(), 2);
            assert_eq!(f.sources[0].registry, "a");
            let swapped = merge(&[("b", b), ("a", a)]);
            assert_eq!((swapped.state, swapped.access), (f.state, f.access), "order must not matter");
            pairs += 1;
        }
    }
    assert_eq!(pairs, 14 * 14);
}

#[test]
fn equal_upstreams_are_one_source() {
    let v = voice(Say::Suspected, false);
    let at = |a, b| {
        combine(&[(Speaker { name: "x", upstream: a }, &v), (Speaker { name: "y", upstream: b }, &v)]).state
    };
    assert_eq!(at("same", "same"), FilingState::SuspectedNotFiled);
    assert_eq!(at("one", "two"), FilingState::NotFiled);
}

#[test]
fn absence_is_not_certain_beside_a_file_that_failed() {
    let absent = Voice { access: Some(AccessState::Elsewhere), ..voice(Say::NotConnected, true) };
    let failed =
        Voice { access: Some(AccessState::Unknown), ..voice(Say::Silent(Some(Why::Malformed)), true) };
    let partial = Voice { access: Some(AccessState::Unknown), ..voice(Say::Silent(None), true) };
    let here = Voice { access: Some(AccessState::Here), ..voice(Say::Filed, true) };
    assert_eq!(merge(&[("a", &absent), ("b", &failed)]).access, AccessState::Unknown);
    assert_eq!(merge(&[("a", &absent), ("b", &partial)]).access, AccessState::Elsewhere);
    assert_eq!(merge(&[("a", &absent), ("b", &here)]).access, AccessState::Here);
}

#[test]
fn facts_of_another_licence_are_not_mixed_in() {
    let sure = voice(Say::Filed, true);
    let mut public = voice(Say::Filed, false);
    public.facts.unit = Some("成都示例科技有限公司".into());
    public.facts.subject_licence = Some("蜀ICP备00000001号".into());
    let f = merge(&[("public", &public), ("sure", &sure)]);
    assert_eq!(f.unit.as_deref(), Some("成都示例科技有限公司"));
    assert_eq!(f.subject_licence.as_deref(), Some("蜀ICP备00000001号"));
    public.facts.subject_licence = Some("京ICP备99999999号".into());
    assert_eq!(merge(&[("public", &public), ("sure", &sure)]).unit, None);
}

#[test]
fn a_fact_holds_from_when_it_was_said() {
    let holds = |say, authority| {
        let f = merge(&[("a", &voice(say, authority))]);
        f.expires_at.map(|t| t.as_second())
    };
    assert_eq!(holds(Say::Filed, true), Some(7 * 86_400));
    assert_eq!(holds(Say::NotFiled, true), Some(6 * 3600));
    assert_eq!(holds(Say::Suspected, false), Some(6 * 3600));
    let soon = holds(Say::Silent(Some(Why::Timeout)), true).map(|t| t - Timestamp::now().as_second());
    assert!(soon.is_some_and(|s| (290..=300).contains(&s)), "{soon:?}");
}
