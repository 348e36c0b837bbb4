-- The hub's first schema. Times are milliseconds since the epoch, flags 0 or 1,
-- lists and evidence JSON. (tenant, agent) leads every key of what agents say.

CREATE TABLE customers (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  unit TEXT,
  note TEXT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);

CREATE TABLE servers (
  tenant TEXT NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
  id TEXT NOT NULL,
  product TEXT NOT NULL,
  note TEXT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX servers_id ON servers (id);

CREATE TABLE server_addresses (
  address TEXT NOT NULL PRIMARY KEY,
  tenant TEXT NOT NULL,
  server TEXT NOT NULL,
  FOREIGN KEY (tenant, server) REFERENCES servers (tenant, id) ON DELETE CASCADE
);
CREATE INDEX server_addresses_server ON server_addresses (server);

CREATE TABLE ranges (
  cidr TEXT NOT NULL PRIMARY KEY,
  created_at BIGINT NOT NULL
);

-- Tokens stand here as SHA-256 only.
CREATE TABLE enrol_tokens (
  id TEXT NOT NULL PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,
  tenant TEXT,
  ranges TEXT NOT NULL,
  takes_over TEXT,
  uses BIGINT NOT NULL,
  used BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  created_by TEXT NOT NULL,
  revoked_at BIGINT
);

CREATE TABLE api_tokens (
  id TEXT NOT NULL PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  scope TEXT NOT NULL,
  tenant TEXT,
  expires_at BIGINT,
  created_at BIGINT NOT NULL,
  created_by TEXT NOT NULL,
  used_at BIGINT,
  revoked_at BIGINT
);

-- The keys by which receipts are signed; an agent keeps the one that it pinned.
CREATE TABLE hub_keys (
  id TEXT NOT NULL PRIMARY KEY,
  pkcs8 TEXT NOT NULL,
  public_key TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  retired_at BIGINT
);

-- tenant '' is nobody yet (quarantine). seen: bit n says that sequence
-- highest - n was used.
CREATE TABLE agents (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  state TEXT NOT NULL,
  why TEXT,
  public_key TEXT NOT NULL,
  hub_key TEXT NOT NULL,
  polling_token TEXT NOT NULL,
  certificate TEXT,
  server TEXT,
  hostname TEXT NOT NULL,
  version TEXT NOT NULL,
  announce TEXT,
  addresses TEXT NOT NULL,
  enrolled_at BIGINT NOT NULL,
  enrolled_from TEXT,
  enrolled_with TEXT,
  highest BIGINT NOT NULL,
  seen BIGINT NOT NULL,
  lookup_sequence BIGINT NOT NULL,
  snapshot_sequence BIGINT NOT NULL,
  snapshot_hash BIGINT NOT NULL,
  parts BIGINT NOT NULL,
  complete BIGINT NOT NULL,
  scanned_at BIGINT,
  last_seen BIGINT NOT NULL,
  last_report BIGINT,
  last_heartbeat BIGINT,
  last_address TEXT,
  earlier_address TEXT,
  address_at BIGINT,
  skew_ms BIGINT,
  outbox BIGINT,
  oldest_untold BIGINT,
  poll_due BIGINT,
  poll_at BIGINT,
  poll_etag TEXT,
  poll_error TEXT,
  lookups_day BIGINT NOT NULL,
  lookups BIGINT NOT NULL,
  names BIGINT NOT NULL,
  compliant BIGINT NOT NULL,
  violation BIGINT NOT NULL,
  suspected BIGINT NOT NULL,
  dormant BIGINT NOT NULL,
  unconfirmed BIGINT NOT NULL,
  not_applicable BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX agents_id ON agents (id);
CREATE UNIQUE INDEX agents_key ON agents (public_key);
CREATE INDEX agents_server ON agents (server);
CREATE INDEX agents_last_seen ON agents (last_seen);
CREATE INDEX agents_poll_due ON agents (poll_due);
CREATE INDEX agents_violation ON agents (violation);

-- What is odd about an agent: clone, rollback, shrunk, unreadable.
CREATE TABLE agent_flags (
  tenant TEXT NOT NULL,
  agent TEXT NOT NULL,
  kind TEXT NOT NULL,
  at BIGINT NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY (tenant, agent, kind)
);

CREATE TABLE receipts (
  tenant TEXT NOT NULL,
  agent TEXT NOT NULL,
  sequence BIGINT NOT NULL,
  digest TEXT NOT NULL,
  received_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, agent, sequence)
);
CREATE INDEX receipts_received ON receipts (received_at);

-- The last report as it came (gzip): the evidence of every name.
CREATE TABLE snapshots (
  tenant TEXT NOT NULL,
  agent TEXT NOT NULL,
  part BIGINT NOT NULL,
  report_id TEXT NOT NULL,
  sequence BIGINT NOT NULL,
  received_at BIGINT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (tenant, agent, part)
);

-- Current state, one row a name and agent. What the agent said stands beside
-- what it comes to here (the hub's filing and exemptions win).
CREATE TABLE names (
  tenant TEXT NOT NULL,
  agent TEXT NOT NULL,
  name TEXT NOT NULL,
  unicode TEXT NOT NULL,
  apex TEXT,
  question TEXT,
  part BIGINT NOT NULL,
  verdict TEXT NOT NULL,
  reason TEXT NOT NULL,
  stale BIGINT NOT NULL,
  exposure TEXT,
  filing TEXT,
  access TEXT,
  agent_filing TEXT,
  agent_access TEXT,
  agent_verdict TEXT NOT NULL,
  agent_reason TEXT NOT NULL,
  first_seen BIGINT NOT NULL,
  exposed_since BIGINT,
  filed_since TEXT,
  unit TEXT,
  connected_before_filing BIGINT NOT NULL,
  since BIGINT NOT NULL,
  hash BIGINT NOT NULL,
  PRIMARY KEY (tenant, agent, name)
);
CREATE INDEX names_name ON names (name);
CREATE INDEX names_apex ON names (apex);
CREATE INDEX names_question ON names (question);
CREATE INDEX names_verdict ON names (verdict, since, tenant, agent, name);
CREATE INDEX names_tenant ON names (tenant, verdict, since);

CREATE TABLE transitions (
  tenant TEXT NOT NULL,
  agent TEXT NOT NULL,
  at BIGINT NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  by TEXT NOT NULL,
  from_verdict TEXT,
  from_reason TEXT,
  to_verdict TEXT,
  to_reason TEXT,
  stale BIGINT NOT NULL,
  connected_before_filing BIGINT NOT NULL,
  exposed_since BIGINT,
  filed_since TEXT,
  row TEXT,
  received_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, agent, at, id)
);
CREATE INDEX transitions_name ON transitions (name, at);
CREATE INDEX transitions_at ON transitions (at);

CREATE TABLE site_findings (
  tenant TEXT NOT NULL,
  agent TEXT NOT NULL,
  n BIGINT NOT NULL,
  part BIGINT NOT NULL,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (tenant, agent, part, n)
);
CREATE INDEX site_findings_kind ON site_findings (kind);

CREATE TABLE losses (
  tenant TEXT NOT NULL,
  agent TEXT NOT NULL,
  kind TEXT NOT NULL,
  at BIGINT NOT NULL,
  number BIGINT NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY (tenant, agent, kind, at)
);

-- What the registries say, one row a question (the names asked, in their
-- order, joined by a space). body: the filing with every source's word.
CREATE TABLE filings (
  question TEXT NOT NULL PRIMARY KEY,
  state TEXT NOT NULL,
  access TEXT NOT NULL,
  unit TEXT,
  body TEXT NOT NULL,
  asked_at BIGINT,
  confirmed_at BIGINT,
  due_at BIGINT NOT NULL,
  failures BIGINT NOT NULL,
  stale BIGINT NOT NULL
);
CREATE INDEX filings_due ON filings (due_at);

-- The provider's own database, as imported last.
CREATE TABLE provider_filings (
  domain TEXT NOT NULL PRIMARY KEY,
  body TEXT NOT NULL,
  import BIGINT NOT NULL
);
CREATE TABLE imports (
  id BIGINT NOT NULL PRIMARY KEY,
  at BIGINT NOT NULL,
  who TEXT NOT NULL,
  source TEXT NOT NULL,
  rows BIGINT NOT NULL,
  added BIGINT NOT NULL,
  changed BIGINT NOT NULL,
  removed BIGINT NOT NULL,
  skipped BIGINT NOT NULL
);

-- How each registry stands, and what was asked of it on which day.
CREATE TABLE sources (
  name TEXT NOT NULL PRIMARY KEY,
  state TEXT NOT NULL,
  why TEXT,
  since BIGINT NOT NULL,
  answered_at BIGINT,
  canary_at BIGINT,
  updated_at BIGINT NOT NULL
);
CREATE TABLE source_usage (
  source TEXT NOT NULL,
  day BIGINT NOT NULL,
  asked BIGINT NOT NULL,
  PRIMARY KEY (source, day)
);

CREATE TABLE exemptions (
  id TEXT NOT NULL PRIMARY KEY,
  tenant TEXT,
  name TEXT NOT NULL,
  who TEXT NOT NULL,
  why TEXT NOT NULL,
  until TEXT,
  created_at BIGINT NOT NULL,
  revoked_at BIGINT
);
CREATE INDEX exemptions_name ON exemptions (name);

-- Each entry holds the hash of the one before it.
CREATE TABLE audit_log (
  n BIGINT NOT NULL PRIMARY KEY,
  at BIGINT NOT NULL,
  who TEXT NOT NULL,
  action TEXT NOT NULL,
  tenant TEXT,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  before TEXT NOT NULL,
  hash TEXT NOT NULL
);

-- Work that one replica does at a time.
CREATE TABLE leases (
  name TEXT NOT NULL PRIMARY KEY,
  holder TEXT NOT NULL,
  until BIGINT NOT NULL
);

CREATE TABLE marks (
  name TEXT NOT NULL PRIMARY KEY,
  value BIGINT NOT NULL
);
