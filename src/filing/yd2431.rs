//! B: the enterprise interface of YD/T 2431, `isp_querybeianstatus`
//! (registries.md B): SOAP 1.1 around a string that is XML again.

mod xml;

use base64::Engine as _;
use futures::future::BoxFuture;
use md5::{Digest as _, Md5};
use rand::seq::IndexedRandom as _;
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;

use crate::config::{HashOrder, Secret};
use crate::facts::Why;

use super::http::{Line, Media, Page, unreadable};
use super::registry::{Facts, Fault, Registry, Reply, Word};
use super::spelling::same;
use super::text::{date, licence};
use xml::{Leaf, leaves};

pub(super) struct Yd2431 {
    pub url: Url,
    pub isp_id: String,
    pub user: String,
    pub password: Secret,
    pub hash_order: HashOrder,
}

impl Yd2431 {
    fn envelope(&self, domain: &str) -> String {
        let rand = random_text();
        let fields = [
            ("ispID", self.isp_id.as_str()),
            ("userName", &self.user),
            ("randVal", &rand),
            ("pwdHash", &password_hash(self.password.expose(), &rand, self.hash_order)),
            ("hashAlgorithm", "0"),
            ("queryConditionType", "0"),
            ("queryCondition", domain),
        ];
        let body: String =
            fields.iter().map(|(k, v)| format!("<{k}>{}</{k}>", quick_xml::escape::escape(*v))).collect();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
             <soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body>\
             <isp_querybeianstatus>{body}</isp_querybeianstatus></soap:Body></soap:Envelope>"
        )
    }

    async fn query(&self, name: &str, spelling: &str, line: &Line) -> Result<Reply, Fault> {
        let request = line
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "text/xml; charset=utf-8")
            .header("SOAPAction", "\"\"")
            .body(self.envelope(spelling));
        read(&line.fetch(request).await?, name)
    }
}

impl Registry for Yd2431 {
    fn ask<'a>(
        &'a self,
        name: &'a str,
        spelling: &'a str,
        line: &'a Line,
    ) -> BoxFuture<'a, Result<Reply, Fault>> {
        Box::pin(self.query(name, spelling, line))
    }
}

/// `base64(MD5(GBK(password + randVal)))`, or the other way round.
fn password_hash(password: &str, rand: &str, order: HashOrder) -> String {
    let text = match order {
        HashOrder::PasswordRand => format!("{password}{rand}"),
        HashOrder::RandPassword => format!("{rand}{password}"),
    };
    let (bytes, _, _) = encoding_rs::GBK.encode(&text);
    base64::engine::general_purpose::STANDARD.encode(Md5::digest(&bytes))
}

/// Twenty characters, fresh for each call.
fn random_text() -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut rng = rand::rng();
    (0..20).filter_map(|_| ALPHABET.choose(&mut rng)).map(|b| char::from(*b)).collect()
}

/// Reads the envelope and the answer inside it.
fn read(page: &Page, name: &str) -> Result<Reply, Fault> {
    let malformed = || Fault::new(Why::Malformed);
    if page.media != Media::Xml {
        return Err(unreadable(page));
    }
    let outer = leaves(&page.text).ok_or_else(|| unreadable(page))?;
    if outer.iter().any(|l| matches!(l.name.as_str(), "faultcode" | "faultstring" | "Fault")) {
        return Err(Fault::new(Why::Unavailable));
    }
    if page.status != 200 {
        return Err(unreadable(page));
    }
    // The answer is text inside <return>; some servers leave it as elements.
    let inner = match outer.iter().find(|l| l.name == "return" && l.text.contains('<')) {
        Some(wrapped) => leaves(wrapped.text.trim()).ok_or_else(malformed)?,
        None => outer,
    };
    answer(&inner, name)
}

fn answer(inner: &[Leaf], name: &str) -> Result<Reply, Fault> {
    let malformed = || Fault::new(Why::Malformed);
    let code: u32 = inner
        .iter()
        .find(|l| l.name == "msg_code")
        .and_then(|l| l.text.trim().parse().ok())
        .ok_or_else(malformed)?;
    if code != 0 {
        return Err(refusal(code));
    }
    let mut reply: Option<Reply> = None;
    let groups = inner.iter().map(|l| l.group).max().unwrap_or(0);
    for group in 1..=groups {
        let one = status(inner, group, name)?;
        // Several entries of one domain (older sites hold several numbers)
        // must agree.
        if reply.as_ref().is_some_and(|r| r.word != one.word) {
            return Err(malformed());
        }
        reply.get_or_insert(one);
    }
    reply.ok_or_else(malformed)
}

/// One `<StatusInfo>`.
fn status(inner: &[Leaf], group: usize, name: &str) -> Result<Reply, Fault> {
    let field = |tag: &str| {
        inner
            .iter()
            .find(|l| l.group == group && l.name == tag)
            .map(|l| l.text.trim())
            .filter(|t| !t.is_empty())
    };
    let malformed = Err(Fault::new(Why::Malformed));
    if !field("Cxtj").is_some_and(|c| same(c, name)) || field("Cxtjlx").is_some_and(|t| t != "0") {
        return malformed;
    }
    let subject_licence = field("Ztbah").and_then(licence);
    let site_licence = field("Wzbah").and_then(licence);
    let licensed = subject_licence.is_some() || site_licence.is_some();
    match field("Bazt") {
        Some("0") if licensed => Ok(Reply {
            word: Word::Filed,
            access: None,
            facts: Facts {
                subject_licence,
                site_licence,
                unit: None,
                nature: None,
                approved_on: field("Shtgsj").and_then(date).map(|d| d.to_string()),
            },
        }),
        Some("1") if !licensed => Ok(Reply::bare(Word::Negative)),
        _ => malformed,
    }
}

/// What a code other than 0 means (registries.md B, contract-details Q10).
fn refusal(code: u32) -> Fault {
    let operator = |message| Fault::operator(Why::Configuration, message);
    match code {
        4 => operator("code 4: the user name is not accepted"),
        5 => operator("code 5: the password is not accepted; check password and hash_order"),
        7 => operator("code 7: the password hash is not accepted; check hash_order"),
        10 => operator("code 10: the hash algorithm is not accepted"),
        12 => operator("code 12: the interface refuses us; is this server's address registered there?"),
        13 => operator("code 13: this interface does not serve our province"),
        16 => operator("code 16: the random string is taken as too short"),
        19 => operator("code 19: our permission has been closed"),
        6 | 8 | 9 | 11 | 14 | 15 | 17 | 18 => {
            operator("the interface refuses our configuration (code between 4 and 19)")
        }
        20 | 901 | 902 | 999 => Fault::new(Why::Unavailable),
        _ => Fault::new(Why::Malformed),
    }
}

#[cfg(test)]
mod tests;
