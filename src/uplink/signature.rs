//! HTTP message signatures (RFC 9421) over an agent's call: method, path,
//! agent, sequence, the time it was made, and the digest of the body (RFC
//! 9530). The same code signs here and verifies in the hub.
//!
//! Algorithm: `ed25519`. The time is for measuring a clock's skew; it never
//! refuses a call, the sequence does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use sfv::{BareItem, Dictionary, InnerList, ListEntry, Parser};

/// The header with the agent's id.
pub const AGENT: &str = "beian-agent";
/// The header with the sequence.
pub const SEQUENCE: &str = "beian-sequence";
/// The label of our signature.
const LABEL: &str = "beian";
/// What is signed, in this order.
const COMPONENTS: [&str; 5] = ["@method", "@path", AGENT, SEQUENCE, "content-digest"];

/// A call as it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call<'a> {
    /// `POST`.
    pub method: &'a str,
    /// The path, without query.
    pub path: &'a str,
    /// The agent's id.
    pub agent: &'a str,
    /// The sequence.
    pub sequence: u64,
    /// The body as it is sent, compressed.
    pub body: &'a [u8],
}

/// The headers of a signed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    /// `Content-Digest`.
    pub content_digest: String,
    /// `Signature-Input`.
    pub signature_input: String,
    /// `Signature`.
    pub signature: String,
}

/// Why a call is not what it says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No signature of ours, or one that covers too little.
    #[error("the signature does not cover what it has to cover")]
    Components,
    /// A header that cannot be read.
    #[error("a signature header cannot be read")]
    Malformed,
    /// The body is another one.
    #[error("the body does not have the digest that was signed")]
    Digest,
    /// Signed by another key, or changed on the way.
    #[error("the signature does not fit")]
    Signature,
}

/// `sha-256=:…:` of a body.
pub fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64.encode(digest(&SHA256, body)))
}

/// The signature base (RFC 9421, 2.5).
fn base(call: &Call<'_>, digest: &str, params: &str) -> String {
    let mut out = String::new();
    let sequence = call.sequence.to_string();
    for name in COMPONENTS {
        let value = match name {
            "@method" => call.method,
            "@path" => call.path,
            AGENT => call.agent,
            SEQUENCE => &sequence,
            _ => digest,
        };
        out.push_str(&format!("\"{name}\": {value}\n"));
    }
    out.push_str("\"@signature-params\": ");
    out.push_str(params);
    out
}

/// Signs a call. `created` in seconds since the epoch; `keyid` is the agent's
/// id.
pub fn sign(call: &Call<'_>, created: i64, key: &Ed25519KeyPair) -> Headers {
    let list = COMPONENTS.map(|c| format!("\"{c}\"")).join(" ");
    let params = format!("({list});created={created};keyid=\"{}\";alg=\"ed25519\"", call.agent);
    let content_digest = content_digest(call.body);
    let signature = key.sign(base(call, &content_digest, &params).as_bytes());
    Headers {
        content_digest,
        signature_input: format!("{LABEL}={params}"),
        signature: format!("{LABEL}=:{}:", BASE64.encode(signature)),
    }
}

/// Verifies a call against the public key (32 bytes) of its agent; when it was
/// signed, in seconds since the epoch by the agent's clock.
pub fn verify(call: &Call<'_>, headers: &Headers, public_key: &[u8]) -> Result<i64, Refusal> {
    let input: Dictionary = Parser::new(&headers.signature_input).parse().map_err(|_| Refusal::Malformed)?;
    let Some(ListEntry::InnerList(list)) = input.get(LABEL) else { return Err(Refusal::Components) };
    let covered: Vec<&str> = list
        .items
        .iter()
        .filter(|i| i.params.is_empty())
        .filter_map(|i| i.bare_item.as_string().map(|s| s.as_str()))
        .collect();
    if covered != COMPONENTS || covered.len() != list.items.len() {
        return Err(Refusal::Components);
    }
    let (created, params) = parameters(list, call.agent)?;
    if content_digest(call.body) != headers.content_digest {
        return Err(Refusal::Digest);
    }
    let signatures: Dictionary = Parser::new(&headers.signature).parse().map_err(|_| Refusal::Malformed)?;
    let Some(ListEntry::Item(item)) = signatures.get(LABEL) else { return Err(Refusal::Malformed) };
    let BareItem::ByteSequence(signature) = &item.bare_item else { return Err(Refusal::Malformed) };
    UnparsedPublicKey::new(&ED25519, public_key)
        .verify(base(call, &headers.content_digest, &params).as_bytes(), signature)
        .map_err(|_| Refusal::Signature)?;
    Ok(created)
}

/// The parameters, in the only form that is signed here.
fn parameters(list: &InnerList, agent: &str) -> Result<(i64, String), Refusal> {
    let get = |name: &str| list.params.get(name);
    let created = match get("created") {
        Some(BareItem::Integer(n)) => i64::from(*n),
        _ => return Err(Refusal::Components),
    };
    let text = |name: &str| match get(name) {
        Some(BareItem::String(s)) => Some(s.as_str()),
        _ => None,
    };
    if text("keyid") != Some(agent) || text("alg") != Some("ed25519") || list.params.len() != 3 {
        return Err(Refusal::Components);
    }
    let components = COMPONENTS.map(|c| format!("\"{c}\"")).join(" ");
    Ok((created, format!("({components});created={created};keyid=\"{agent}\";alg=\"ed25519\"")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;
    use ring::signature::KeyPair as _;

    use super::*;

    fn key() -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
    }

    const CALL: Call<'static> = Call {
        method: "POST",
        path: "/v1/agents/a1/reports",
        agent: "a1",
        sequence: 12,
        body: b"{\"hello\": \"world\"}",
    };

    #[test]
    fn the_base_is_that_of_the_standard() {
        // RFC 9530, appendix: the digest of this very body.
        let h = sign(&CALL, 1_618_884_473, &key());
        assert_eq!(h.content_digest, "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:");
        assert_eq!(
            h.signature_input,
            "beian=(\"@method\" \"@path\" \"beian-agent\" \"beian-sequence\" \"content-digest\");created=1618884473;keyid=\"a1\";alg=\"ed25519\""
        );
        let params = h.signature_input.strip_prefix("beian=").unwrap();
        assert_eq!(
            base(&CALL, &h.content_digest, params),
            format!(
                "\"@method\": POST\n\"@path\": /v1/agents/a1/reports\n\"beian-agent\": a1\n\"beian-sequence\": 12\n\"content-digest\": {}\n\"@signature-params\": {params}",
                h.content_digest
            )
        );
        assert_eq!(verify(&CALL, &h, key().public_key().as_ref()), Ok(1_618_884_473));
    }

    /// RFC 9421, B.2.6: the key, the base and the signature of the standard.
    #[test]
    fn the_algorithm_is_that_of_the_standard() {
        let key = BASE64.decode("n4Ni+HpISpVObnQMW0wOhCKROaIKqKtW/2ZYb2p9KcU=").unwrap();
        let public = BASE64.decode("JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=").unwrap();
        let base = "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@method\": POST\n\"@path\": /foo\n\"@authority\": example.com\n\"content-type\": application/json\n\"content-length\": 18\n\"@signature-params\": (\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\");created=1618884473;keyid=\"test-key-ed25519\"";
        let pair = Ed25519KeyPair::from_seed_and_public_key(&key, &public).unwrap();
        assert_eq!(
            BASE64.encode(pair.sign(base.as_bytes())),
            "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
        );
    }

    #[test]
    fn what_is_changed_on_the_way_is_refused() {
        let good = sign(&CALL, 5, &key());
        let public = key().public_key().as_ref().to_vec();
        for (call, refusal) in [
            (Call { method: "PUT", ..CALL }, Refusal::Signature),
            (Call { path: "/v1/agents/a2/reports", ..CALL }, Refusal::Signature),
            (Call { agent: "a2", ..CALL }, Refusal::Components),
            (Call { sequence: 13, ..CALL }, Refusal::Signature),
            (Call { body: b"{}", ..CALL }, Refusal::Digest),
        ] {
            assert_eq!(verify(&call, &good, &public), Err(refusal));
        }
        let other = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap();
        assert_eq!(verify(&CALL, &good, other.public_key().as_ref()), Err(Refusal::Signature));
        let input = |s: String| Headers { signature_input: s, ..good.clone() };
        for (headers, refusal) in [
            (input(good.signature_input.replace("\"@path\" ", "")), Refusal::Components),
            (input(good.signature_input.replace(";created=5", "")), Refusal::Components),
            (input(good.signature_input.replace("created=5", "created=6")), Refusal::Signature),
            (input(good.signature_input.replace("ed25519", "hmac-sha256")), Refusal::Components),
            (input("nonsense".to_owned()), Refusal::Components),
            (input("(((".to_owned()), Refusal::Malformed),
            (Headers { signature: "beian=7".to_owned(), ..good.clone() }, Refusal::Malformed),
            (Headers { signature: "beian=:AAAA:".to_owned(), ..good.clone() }, Refusal::Signature),
        ] {
            assert_eq!(verify(&CALL, &headers, &public), Err(refusal), "{headers:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(input in ".{0,200}", signature in ".{0,100}", digest in ".{0,60}") {
            let headers = Headers { content_digest: digest, signature_input: input, signature };
            prop_assert!(verify(&CALL, &headers, key().public_key().as_ref()).is_err());
        }
    }
}
