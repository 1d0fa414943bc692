//! What the requests may name, and how each is sent.

use std::{collections::BTreeMap, fmt};

use aws_lc_rs::hmac;
use meshhook_errors::{
    clock::Clock,
    notify::{LinkAction, Links},
};
use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    super::rig::{Answer, Rig},
    make::Maker,
};

const LINKS_KEY: &str = "bGlua3MgbGlua3MgbGlua3MgbGlua3MgbGlua3MgISE=";
const PUBLIC: &str = "https://errors.example.com";
const SLACK_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

/// Parts of a path that nothing has, as they stand in an address.
const ODD_PARTS: [&str; 9] =
    ["%00", "%ff%fe", "..%2f..%2fetc", "%25s", "a%2Fb", "null", "-1", "%F0%9F%98%80", "'%22%3B--"];
const ODD_KINDS: [&str; 5] = [
    "",
    "text/plain",
    "application/json; charset=utf-16",
    "application/xml",
    "multipart/form-data",
];

/// An operation of the document.
pub struct Operation {
    pub method: Method,
    pub path: String,
    pub described: Value,
}

impl Operation {
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn media_type(&self) -> Option<&String> {
        self.described["requestBody"]["content"].as_object()?.keys().next()
    }
}

/// One request.
pub struct Sent {
    path: String,
    token: Option<String>,
    headers: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(self.body.as_deref().unwrap_or_default());
        let body: String = body.chars().take(4_000).collect();
        write!(f, "{} {:?}\n{body}", self.path, self.headers)
    }
}

/// A deployment in which every operation has something to act on.
pub struct World {
    pub rig: Rig,
    pub document: Value,
    /// What parameters and members with these names may name, the caller's own first.
    ids: BTreeMap<&'static str, Vec<Uuid>>,
    /// Channels whose secrets are changed; those that are tested are others, so that every message stays here.
    changed: Vec<Uuid>,
    tokens: Vec<Option<String>>,
    links: Vec<String>,
    incident: Uuid,
}

impl World {
    pub async fn new() -> Self {
        let rig = Rig::with(&[
            ("API_REQUESTS_PER_MINUTE", "100000"),
            ("LINKS_KEY", LINKS_KEY),
            ("PUBLIC_URL", PUBLIC),
            ("SLACK_SIGNING_SECRET", SLACK_SECRET),
        ])
        .await;
        let document = rig.send(Method::GET, "/api/openapi.json", None, &[], None).await.json();
        let (ours, theirs) = (rig.a.project, rig.b.project);
        let mut channels = Vec::new();
        for (name, kind, project) in [
            ("tested", "webhook", ours),
            ("mailed", "email", ours),
            ("posted", "slack", ours),
            ("theirs", "webhook", theirs),
            ("changed", "slack", ours),
            ("changed too", "webhook", ours),
        ] {
            let channel = rig.stack.channel(name, kind).await;
            sqlx::query("update public.alert_channels set project_id = $1 where channel_id = $2")
                .bind(project)
                .bind(channel)
                .execute(&rig.stack.admin)
                .await
                .expect("a channel of a project");
            channels.push(channel);
        }
        let changed = channels.split_off(4);
        let mut rules = Vec::new();
        for (name, project) in [("ours", ours), ("theirs", theirs)] {
            let fields =
                json!({"project_id": project, "warning": 1_000_000, "group_by": ["source"]});
            rules.push(rig.stack.rule(name, fields, &[]).await);
        }
        let incident = incident(&rig, rules[0]).await;
        let made = Links::new(&LINKS_KEY.into(), PUBLIC.parse().expect("an address"));
        let (made, now) = (made.expect("a key"), Clock::system().now());
        let to = ["ada@example.com".to_owned(), "bob@example.com".to_owned()];
        let link = |(incident, to): (Uuid, &[String])| {
            let address = made.address(incident, LinkAction::Silence, to, now);
            address.rsplit('/').next().expect("a token").to_owned()
        };
        let links = [(incident, &to[..]), (incident, &[]), (Uuid::new_v4(), &to[..1])];
        let links = links.into_iter().map(link).collect();
        let tokens = vec![
            Some(rig.a.owner.clone()),
            Some(rig.a.viewer.clone()),
            Some(rig.a.reporter.clone()),
            Some(rig.b.owner.clone()),
            Some(rig.stack.token("authenticated", &[("sub", Uuid::new_v4().to_string())], -60)),
            Some(rig.stack.token("anon", &[], 60)),
            Some(rig.stack.token("authenticated", &[("sub", "nobody".to_owned())], 60)),
            Some(rig.stack.token("postgres", &[], 60)),
            Some("eyJhbGciOiJub25lIn0.e30.".to_owned()),
            None,
        ];
        let workflows = vec![rig.a.workflow, rig.b.workflow];
        let ids = BTreeMap::from([
            ("channel_id", channels),
            ("project_id", vec![ours, theirs]),
            ("project", vec![ours, theirs]),
            ("workflow_id", workflows.clone()),
            ("workflow", workflows),
            ("rule_id", rules),
        ]);
        Self { rig, document, ids, changed, tokens, links, incident }
    }

    /// All of them, in the document's order.
    pub fn operations(&self) -> Vec<Operation> {
        let paths = self.document["paths"].as_object().expect("paths").iter();
        let of_path = |(path, item): (&String, &Value)| {
            let each = |(method, described): (&String, &Value)| Operation {
                method: method.to_uppercase().parse().expect("a method"),
                path: path.clone(),
                described: described.clone(),
            };
            item.as_object().expect("operations").iter().map(each).collect::<Vec<_>>()
        };
        paths.flat_map(of_path).collect()
    }

    /// A request for an operation; with an oddness of 0 it is one that should be taken.
    pub fn make(&self, operation: &Operation, rng: StdRng, oddness: f64) -> Sent {
        let mut maker = Maker { document: &self.document, ids: &self.ids, rng, oddness };
        let mut path = self.path(operation, &mut maker);
        path.push_str(&maker.query(&operation.described));
        let token = match maker.odd_choice() {
            true => self.tokens.choose(&mut maker.rng).cloned().flatten(),
            false => self.tokens[0].clone(),
        };
        let mut headers = Vec::new();
        let body = operation.media_type().map(|kind| {
            let kind = match maker.rng.random_bool(oddness / 8.0) {
                true => (*ODD_KINDS.choose(&mut maker.rng).expect("one")).to_owned(),
                false => kind.clone(),
            };
            headers.push(("content-type", kind));
            if maker.rng.random_bool(oddness / 16.0) {
                headers.push(("content-encoding", "gzip".to_owned()));
            }
            self.body(operation, &mut maker)
        });
        if maker.rng.random_bool(oddness / 4.0) {
            let accepted =
                ["text/csv", "image/png", "*/*;q=0.1, text/csv", ";;q=,", "application/json"];
            headers.push(("accept", (*accepted.choose(&mut maker.rng).expect("one")).to_owned()));
        }
        if operation.path == "/api/slack/interactivity" {
            headers.extend(signed(body.as_deref().unwrap_or_default(), maker.odd_choice()));
        }
        Sent { path, token, headers, body }
    }

    pub async fn send(&self, operation: &Operation, sent: &Sent) -> Answer {
        let headers: Vec<_> =
            sent.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let token = sent.token.as_deref();
        self.rig
            .send(operation.method.clone(), &sent.path, token, &headers, sent.body.clone())
            .await
    }

    /// The path with something in place of each parameter.
    fn path(&self, operation: &Operation, maker: &mut Maker<'_>) -> String {
        let parts = operation.path.split('/').map(|part| {
            let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else {
                return part.to_owned();
            };
            if maker.odd_choice() {
                let odd = (*ODD_PARTS.choose(&mut maker.rng).expect("one")).to_owned();
                return if maker.rng.random_bool(0.1) { odd.repeat(500) } else { odd };
            }
            if name == "token" {
                let link = self.links.choose(&mut maker.rng).expect("a link");
                let cut = if maker.odd_choice() {
                    maker.rng.random_range(1..link.len())
                } else {
                    link.len()
                };
                let link = if maker.oddness == 0.0 { &self.links[0] } else { link };
                return link[..cut.min(link.len())].to_owned();
            }
            let ids =
                if operation.path.ends_with("/secret") { &self.changed } else { &self.ids[name] };
            let own = if maker.oddness == 0.0 { &ids[..1] } else { &ids[..] };
            own.choose(&mut maker.rng).expect("an id").to_string()
        });
        parts.collect::<Vec<_>>().join("/")
    }

    fn body(&self, operation: &Operation, maker: &mut Maker<'_>) -> Vec<u8> {
        if maker.rng.random_bool(maker.oddness / 16.0) {
            // Too much of anything, or deeper than anybody needs.
            return match maker.rng.random_range(0..4) {
                0 => vec![b'x'; 70_000],
                1 => vec![b' '; 1_100_000],
                2 => "[".repeat(5_000).into_bytes(),
                _ => [&b"{\"rule\":"[..], "{\"a\":".repeat(500).as_bytes()].concat(),
            };
        }
        if operation.path != "/api/slack/interactivity" {
            return maker.body(&operation.described).unwrap_or_default();
        }
        let button = "errors_acknowledge";
        let payload = json!({
            "type": "block_actions", "user": {"id": "U0ADA", "username": "ada", "name": "ada"},
            "actions": [{"action_id": button, "value": self.incident}],
            "message": {"text": "t", "blocks": [{"type": "actions", "elements": [{"action_id": button}]}]},
            "response_url": self.rig.stack.webhook.url("/response"),
        });
        let payload = maker.like(&payload, 0).to_string();
        url::form_urlencoded::Serializer::new(String::new())
            .append_pair("payload", &payload)
            .finish()
            .into()
    }
}

async fn incident(rig: &Rig, rule: Uuid) -> Uuid {
    sqlx::query_scalar(
        "insert into public.alert_incidents (incident_id, project_id, rule_id, rule_name, state, level, peak_level, \
           started_at, value, threshold, peak) \
         values (gen_random_uuid(), $1, $2, 'ours', 'firing', 'warning', 'warning', now(), 1, 1, 1) returning incident_id",
    )
    .bind(rig.a.project)
    .bind(rule)
    .fetch_one(&rig.stack.admin)
    .await
    .expect("an incident")
}

/// As Slack signs, or nearly so.
fn signed(body: &[u8], odd: bool) -> [(&'static str, String); 2] {
    let time = Clock::system().now().micros() / 1_000_000;
    let key = hmac::Key::new(hmac::HMAC_SHA256, SLACK_SECRET.as_bytes());
    let tag = hmac::sign(&key, &[format!("v0:{time}:").as_bytes(), body].concat());
    let mut tag: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    if odd {
        tag.pop();
    }
    [("x-slack-request-timestamp", time.to_string()), ("x-slack-signature", format!("v0={tag}"))]
}
