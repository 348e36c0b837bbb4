//! Enrolment: a token against an identity (design.md, "Between agent and
//! hub").

use std::net::IpAddr;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::config::{Hub, Text};

use super::client;
use super::identity::{Enrolment, HubSettings, Identity, credential};
use super::problem::Problem;

/// What is sent. No `Debug`: the token is a secret.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "hub", schema(as = EnrolRequest))]
pub struct Request {
    /// The token of the provider.
    pub token: String,
    /// The agent's Ed25519 public key, base64url.
    pub public_key: String,
    /// SHA-256 of the certificate that polling is answered with, where it is
    /// over TLS.
    pub certificate_fingerprint: Option<String>,
    /// Host name.
    pub hostname: String,
    /// Version of the agent.
    pub version: String,
    /// Where the hub may poll.
    pub announce: Option<String>,
    /// This server's addresses as it sees them.
    #[cfg_attr(feature = "hub", schema(value_type = Vec<String>))]
    pub addresses: Vec<IpAddr>,
}

/// What comes back. No `Debug`: the token is a secret.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "hub", schema(as = EnrolResponse))]
pub struct Response {
    /// The agent's id.
    pub agent_id: String,
    /// The hub's receipt key, base64url.
    pub receipt_key: String,
    /// The token that the hub polls with.
    pub polling_token: String,
    /// An operator has to confirm this server first.
    #[serde(default)]
    pub quarantined: bool,
    /// What the hub sets.
    #[serde(default)]
    pub settings: HubSettings,
}

/// The token, by where an unattended image may have put it: the environment,
/// systemd's credentials, `/etc/beian/enrol-token`.
pub fn token_of_machine() -> std::io::Result<Option<SecretString>> {
    if let Ok(token) = std::env::var("BEIAN_ENROL_TOKEN")
        && !token.trim().is_empty()
    {
        return Ok(Some(token.trim().to_owned().into()));
    }
    if let Some(token) = credential("enrol-token")? {
        return Ok(Some(token.trim().to_owned().into()));
    }
    match std::fs::read_to_string("/etc/beian/enrol-token") {
        Ok(token) if !token.trim().is_empty() => Ok(Some(token.trim().to_owned().into())),
        Ok(_) => Ok(None),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Enrols and keeps the result in the state folder. The error is a sentence
/// that says what to do; whether trying again later may help stands beside it.
pub async fn enrol(
    hub: &Hub,
    url: &url::Url,
    identity: &Identity,
    request: &Request,
    state_dir: &Path,
) -> Result<Enrolment, (Text, bool)> {
    let client = client::client(hub, url, client::TIMEOUT).map_err(|t| (t, false))?;
    debug_assert_eq!(request.public_key, identity.public_key());
    let body = serde_json::to_vec(request).unwrap_or_default();
    let sent = client
        .post(client::join(url, "/v1/enrol"))
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await;
    let unreachable = |why: String| {
        (
            Text::new(
                format!("the hub at {url} cannot be reached: {why}"),
                format!("连不上中心 {url}：{why}"),
            ),
            true,
        )
    };
    let said = match sent {
        Ok(response) => client::read(response).await.map_err(unreachable)?,
        Err(e) => return Err(unreachable(client::words(&e))),
    };
    if !(200..300).contains(&said.status) {
        return Err(refused(said.status, Problem::read(said.content_type.as_deref(), &said.body)));
    }
    let answer: Response = serde_json::from_slice(&said.body).map_err(|_| {
        (
            Text::new(
                format!("what answers at {url} is no hub: check [hub] url"),
                format!("{url} 的答复不是中心的：请检查 [hub] url"),
            ),
            true,
        )
    })?;
    let enrolment = Enrolment {
        hub: url.clone(),
        agent_id: answer.agent_id,
        receipt_key: answer.receipt_key,
        polling_token: answer.polling_token.into(),
        quarantined: answer.quarantined,
        settings: answer.settings.bounded(),
    };
    let token = enrolment.polling_token.expose_secret();
    let usable = enrolment.receipt_public_key().is_some()
        && (16..=512).contains(&token.len())
        && token.bytes().all(|b| b.is_ascii_graphic())
        && !enrolment.agent_id.is_empty()
        && enrolment.agent_id.len() <= 128
        && enrolment.agent_id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !usable {
        return Err((
            Text::new(
                "the hub's answer has no usable id, receipt key or polling token",
                "中心的答复里没有可用的编号、回执公钥或轮询令牌",
            ),
            true,
        ));
    }
    enrolment.write(state_dir).map_err(|e| {
        let dir = state_dir.display();
        (
            Text::new(
                format!("{dir}: {e}; run this as root, or as the agent's user"),
                format!("{dir}：{e}；请以 root 或代理的用户运行"),
            ),
            true,
        )
    })?;
    Ok(enrolment)
}

fn refused(status: u16, problem: Option<(Problem, &'static str)>) -> (Text, bool) {
    let text = match problem.as_ref().map(|(_, word)| *word) {
        Some("token_unknown") => Text::new(
            "the hub does not know this token: copy it again, or ask the provider for a new one",
            "中心不认得这个令牌：请重新复制，或向接入商索取新的令牌",
        ),
        Some("token_expired") => Text::new(
            "the token has expired: ask the provider for a new one",
            "令牌已过期：请向接入商索取新的令牌",
        ),
        Some("token_used") => Text::new(
            "the token was used up: ask the provider for a new one",
            "令牌已用完：请向接入商索取新的令牌",
        ),
        Some("token_address") => Text::new(
            "the token is not for this server's address: ask the provider for one that is",
            "令牌不适用于本机的地址：请向接入商索取适用的令牌",
        ),
        Some(word) => Text::new(
            format!("the hub refuses the enrolment ({word}); ask the provider"),
            format!("中心拒绝登记（{word}）；请联系接入商"),
        ),
        None => {
            return (
                Text::new(
                    format!(
                        "something on the way, or no hub, answered with {status}: check [hub] url and the network"
                    ),
                    format!("收到状态码 {status}，但不是中心的答复：请检查 [hub] url 和网络"),
                ),
                true,
            );
        }
    };
    (text, status == 429 || status >= 500)
}
