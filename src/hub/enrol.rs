//! Enrolment: a token against an identity, and the quarantine of those that
//! the inventory does not know.
//!
//! | token | server | becomes |
//! |---|---|---|
//! | once, bound to a customer, server of the inventory is that customer's | known | active |
//! | N times, call from inside its ranges | known | active |
//! | N times, call from elsewhere | | quarantined |
//! | any | not in the inventory, or another customer's | quarantined |
//! | takes over an agent | | that agent, with the new key |

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{self, Extension, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ipnet::IpNet;
use serde_json::json;
use sqlx::Row as _;

use crate::uplink::enrol::{Request, Response};

use super::Hub;
use super::problem::Problem;
use super::serve::Peer;
use super::settings;
use super::store::{
    Agent, AgentState, EnrolToken, Enrolled, NewAgent, StoreError, TokenFault, Tx, clean, new_secret,
};

/// Bytes of a request.
const MOST: usize = 16 << 10;

fn refused(word: &str, title: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, word, title)
}

/// A server enrols.
#[utoipa::path(
    post, path = "/v1/enrol", tag = "agents",
    request_body(content = Request, description = "The token and who enrols"),
    responses(
        (status = 200, description = "Enrolled, or quarantined", body = Response),
        (status = 400, description = "Not such a request", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The token is not good, or not for this server", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too long", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Later", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn enrol(
    State(hub): State<Arc<Hub>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: extract::Request,
) -> Result<Json<Response>, Problem> {
    let body = super::serve::short_body(request, MOST).await?;
    let request: Request = serde_json::from_slice(&body)
        .map_err(|_| Problem::bad("token, public_key, hostname, version and addresses are needed"))?;
    let done = work(&hub, peer, &request).await;
    let word = match &done {
        Ok(r) if r.quarantined => "quarantined",
        Ok(_) => "enrolled",
        Err(_) => "refused",
    };
    hub.metrics.enrolments.get_or_create(&[("outcome", word)]).inc();
    done.map(Json)
}

async fn work(hub: &Hub, peer: IpAddr, request: &Request) -> Result<Response, Problem> {
    let key = URL_SAFE_NO_PAD.decode(request.public_key.trim_end_matches('=')).unwrap_or_default();
    if key.len() != 32 {
        return Err(Problem::bad("public_key: Ed25519, 32 bytes, base64url"));
    }
    let public_key = URL_SAFE_NO_PAD.encode(&key);
    let certificate = match request.certificate_fingerprint.as_deref() {
        None => None,
        Some(hex) if hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Some(hex.to_ascii_lowercase())
        }
        Some(_) => return Err(Problem::bad("certificate_fingerprint: SHA-256 in hexadecimal")),
    };
    let mut tx = hub.store.begin().await?;
    let token = match hub.store.enrol_token(&mut tx, &request.token).await? {
        Ok(token) => token,
        Err(fault) => {
            return Err(match fault {
                TokenFault::Unknown => refused("token_unknown", "The hub does not know this token"),
                TokenFault::Expired => refused("token_expired", "The token has expired"),
            });
        }
    };
    let same = hub.store.agent_of_key(&mut tx, &public_key).await?;
    if let Some(known) = &same
        && known.state == AgentState::Revoked
    {
        return Err(refused("revoked", "This agent's key was revoked"));
    }
    // The answer was lost on its way, and the same server asks once more.
    let again = same.as_ref().is_some_and(|a| a.enrolled_with.as_ref() == Some(&token.id));
    if token.used >= token.uses && !again {
        return Err(refused("token_used", "The token was used up"));
    }
    let place = place(&mut tx, peer, request, &token).await?;
    let hub_key = hub.keys.current();
    let new = NewAgent {
        id: uuid::Uuid::now_v7().to_string(),
        tenant: place.tenant.clone(),
        quarantine: place.quarantine.clone(),
        public_key,
        hub_key: hub_key.id.clone(),
        polling_token: new_secret("bp_").map_err(|_| Problem::unavailable(60))?,
        certificate,
        server: place.server.clone(),
        hostname: clean(&request.hostname).chars().take(255).collect(),
        version: clean(&request.version).chars().take(64).collect(),
        announce: request.announce.clone().filter(|a| a.len() <= 255),
        addresses: request.addresses.iter().take(256).map(ToString::to_string).collect(),
        from: Some(peer.to_string()),
        with: token.id.clone(),
    };
    let (agent, how) = settle(hub, &mut tx, &token, same, &new).await?;
    if !again {
        hub.store.use_enrol_token(&mut tx, &token.id).await?;
    }
    let detail = json!({
        "token": token.id, "from": peer.to_string(), "hostname": new.hostname,
        "how": match how { Enrolled::New => "new", Enrolled::Again => "again", Enrolled::TakenOver => "taken_over" },
        "quarantine": if how == Enrolled::New { place.quarantine.clone() } else { None },
    });
    hub.store.log(&mut tx, "agent", "agent.enrol", Some(&agent.tenant), &agent.id, &detail).await?;
    tx.commit().await.map_err(StoreError::from)?;
    hub.agents.forget(&agent.id);
    let settings = settings::of(hub, &agent).await?;
    tracing::info!(target: "beian", agent = agent.id, state = agent.state.as_str(), "enrolled");
    Ok(Response {
        agent_id: agent.id,
        receipt_key: hub_key.public.clone(),
        polling_token: new.polling_token,
        quarantined: agent.state == AgentState::Quarantined,
        settings,
    })
}

/// Whose the server is.
struct Place {
    tenant: String,
    server: Option<String>,
    quarantine: Option<String>,
}

/// By the addresses of the inventory: the one that called first, since that
/// one cannot be made up, then those that the agent names.
async fn place(tx: &mut Tx, peer: IpAddr, request: &Request, token: &EnrolToken) -> Result<Place, Problem> {
    let in_ranges =
        |a: &IpAddr| token.ranges.iter().filter_map(|r| r.parse::<IpNet>().ok()).any(|r| r.contains(a));
    let mut found: Option<(String, String, bool)> = None;
    for (address, seen) in
        std::iter::once((peer, true)).chain(request.addresses.iter().take(64).map(|a| (*a, false)))
    {
        let row = sqlx::query("SELECT tenant, server FROM server_addresses WHERE address = $1")
            .bind(address.to_canonical().to_string())
            .fetch_optional(&mut **tx)
            .await
            .map_err(StoreError::from)?;
        if let Some(row) = row {
            let get = |i| row.try_get::<String, _>(i).map_err(StoreError::from);
            found = Some((get(0)?, get(1)?, seen));
            break;
        }
    }
    let outside = !token.ranges.is_empty() && !in_ranges(&peer);
    // A one-time token that is sent from elsewhere was taken away with it.
    if outside && token.uses == 1 {
        return Err(refused("token_address", "The token is not for this server's address"));
    }
    let bound = token.tenant.clone();
    let quarantine = match (&found, &bound) {
        _ if outside => Some("the call came from outside the token's ranges"),
        (None, _) => Some("no server of the inventory has this address"),
        (Some((tenant, _, _)), Some(bound)) if tenant != bound => {
            Some("the address is another customer's than the token's")
        }
        (Some((_, _, false)), None) => {
            Some("the agent names an address of the inventory, but calls from another")
        }
        _ => None,
    };
    Ok(match (quarantine, found) {
        (None, Some((tenant, server, _))) => Place { tenant, server: Some(server), quarantine: None },
        // Nobody's until an operator says whose.
        (why, found) => Place {
            tenant: String::new(),
            server: found.filter(|(t, _, _)| bound.as_ref().is_none_or(|b| b == t)).map(|(_, s, _)| s),
            quarantine: Some(why.unwrap_or("no server of the inventory has this address").to_owned()),
        },
    })
}

/// A new agent, the same one again, or one whose identity is taken over.
async fn settle(
    hub: &Hub,
    tx: &mut Tx,
    token: &EnrolToken,
    same: Option<Agent>,
    new: &NewAgent,
) -> Result<(Agent, Enrolled), Problem> {
    if let Some(id) = &token.takes_over {
        let Some(old) = hub.store.agent_for_update(tx, id).await? else {
            return Err(refused("token_unknown", "The agent that this token takes over is gone"));
        };
        if same.as_ref().is_some_and(|s| s.id != old.id) {
            return Err(refused("revoked", "This key is another agent's: make a new one first"));
        }
        hub.store.renew_agent(tx, id, new).await?;
        // Who holds the token may speak for it again.
        sqlx::query("UPDATE agents SET state = 'active', why = NULL WHERE id = $1 AND state = 'revoked' AND tenant <> ''")
            .bind(id)
            .execute(&mut **tx)
            .await
            .map_err(StoreError::from)?;
        let state = if old.state == AgentState::Revoked { AgentState::Active } else { old.state };
        let agent = Agent { state, public_key: new.public_key.clone(), hub_key: new.hub_key.clone(), ..old };
        return Ok((agent, Enrolled::TakenOver));
    }
    if let Some(old) = same {
        if old.hostname != new.hostname {
            let text = format!("one key enrolled as {} and as {}", old.hostname, new.hostname);
            hub.store.flag_agent(tx, &old.tenant, &old.id, "clone", &text).await?;
        }
        hub.store.renew_agent(tx, &old.id, new).await?;
        let agent = Agent { hub_key: new.hub_key.clone(), ..old };
        return Ok((agent, Enrolled::Again));
    }
    hub.store.add_agent(tx, new).await?;
    let state = if new.quarantine.is_some() { AgentState::Quarantined } else { AgentState::Active };
    let agent = Agent {
        id: new.id.clone(),
        tenant: new.tenant.clone(),
        state,
        public_key: new.public_key.clone(),
        hub_key: new.hub_key.clone(),
        server: new.server.clone(),
        hostname: new.hostname.clone(),
        last_address: new.from.clone(),
        enrolled_with: Some(new.with.clone()),
    };
    Ok((agent, Enrolled::New))
}
