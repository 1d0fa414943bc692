//! The events that are inserted: as a reporter's request carries them, about 1 KB of metadata each.

use error_reporter::masking::{mask_document, mask_text};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Owner;

/// What masking finds in an event.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// Nothing.
    Clean,
    /// A header, a password and an address: sensitive keys at two depths, a sensitive text, and a message
    /// that names the address as well.
    Secrets,
    /// The same after a reporter has masked it, as both reporters do.
    Masked,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Clean, Self::Secrets, Self::Masked];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Clean => "nothing to mask",
            Self::Secrets => "three secrets",
            Self::Masked => "masked already",
        }
    }

    /// The budget of bulk inserts.
    pub(crate) const fn rows_a_second(self) -> f64 {
        match self {
            Self::Clean | Self::Masked => 10_000.0,
            Self::Secrets => 5_000.0,
        }
    }
}

/// Makes events, each with an id of its own.
pub(crate) struct Events {
    owner: Owner,
    made: u64,
}

impl Events {
    pub(crate) fn new(owner: Owner) -> Self {
        Self { owner, made: 0 }
    }

    /// The claims of a reporter that is pinned to the project, which costs more than one that is not.
    pub(crate) fn claims(&self) -> Value {
        // The end of the year 2099.
        json!({ "role": "error_reporter", "project_id": self.owner.project, "exp": 4_102_444_799_i64 })
    }

    /// So many rows as JSON, made before anything is measured.
    pub(crate) fn rows(&mut self, kind: Kind, count: usize) -> String {
        Value::from_iter((0..count).map(|_| self.row(kind))).to_string()
    }

    fn row(&mut self, kind: Kind) -> Value {
        self.made += 1;
        let (mut metadata, mut message) = event(self.made, kind != Kind::Clean);
        if kind == Kind::Masked {
            mask_document(&mut metadata);
            message = mask_text(&message);
        }
        // The columns that both reporters send, with nothing for the trigger to guess.
        json!({
            "error_id": Uuid::now_v7(), "timestamp": "2026-01-01T00:00:00.000001Z", "source": "worker",
            "error_type": "execution.http_status", "severity": "medium",
            "workflow_id": self.owner.workflow, "project_id": self.owner.project,
            "message": message, "metadata": metadata,
        })
    }
}

fn event(number: u64, secrets: bool) -> (Value, String) {
    let text = "The service is not available at the moment; please try again later. ".repeat(8);
    let mut metadata = json!({
        "run_id": Uuid::new_v4(),
        "node": { "id": "n-17", "type": "http", "attempt": 3 },
        "request": { "method": "POST", "url": format!("https://api.example.com/v1/things?page={number}") },
        "response": { "status": 503, "body": text },
        "exception": { "name": "HttpError", "status": 503, "location": "src/worker.rs:123:45" },
        "process": { "host": "worker-7f9c", "pid": 4711 },
        "tags": ["a", "b", "c"],
    });
    let mut message = format!("HTTP 503 from node n-17 at try {number}");
    if secrets {
        metadata["request"]["headers"] = json!({ "authorization": "Bearer abcdefghijklmnop" });
        metadata["response"]["body"] = format!("{text}write to bob@example.com").into();
        metadata["password"] = "hunter2".into();
        message.push_str(" for bob@example.com");
    }
    (metadata, message)
}
