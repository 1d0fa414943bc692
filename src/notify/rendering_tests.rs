//! What every kind of message looks like on every medium, and that no text breaks out of any.

use lettre::message::Mailbox;
use uuid::Uuid;

use super::{
    email::{self, Letter},
    message::{MessageKind, MetricKind, NotificationFacts},
    samples::{facts, hostile, incident},
    sentence::sentence,
    slack, webhook,
};

fn mail(facts: &NotificationFacts) -> String {
    let mailbox = |text: &str| text.parse::<Mailbox>().expect("an address");
    let letter = Letter {
        notification_id: Uuid::from_u128(0xabc),
        channel_id: Uuid::from_u128(0xc),
        from: &mailbox("Alerts <alerts@mesh.example>"),
        reply_to: Some(&mailbox("ops@mesh.example")),
        to: &[mailbox("ada@mesh.example"), mailbox("bob@mesh.example")],
        links: None,
    };
    let message = email::compose(letter, facts).expect("composed");
    String::from_utf8(message.formatted()).expect("mails are ascii")
}

#[test]
fn every_kind_on_every_medium() {
    for kind in MessageKind::ALL {
        let facts = facts(*kind);
        let name = kind.as_str();
        insta::assert_json_snapshot!(format!("slack_{name}"), slack::render(&facts));
        let body = webhook::body(Uuid::from_u128(0xabc), &facts);
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        insta::assert_json_snapshot!(format!("webhook_{name}"), body);
        insta::assert_snapshot!(format!("email_{name}"), mail(&facts).replace('\r', ""));
    }
}

#[test]
fn hostile_texts_on_every_medium() {
    let facts = hostile(MessageKind::ChannelBroken);
    insta::assert_json_snapshot!("slack_hostile", slack::render(&facts));
    let mail = mail(&facts).replace('\r', "");
    let head = mail.split("\n\n").next().unwrap_or_default();
    insta::assert_snapshot!("email_hostile_headers", head);
}

#[test]
fn slack_limits_hold_for_every_kind() {
    for kind in MessageKind::ALL {
        let message = slack::render(&hostile(*kind));
        let mut total = 0;
        let blocks = message["blocks"].as_array().expect("blocks");
        assert!(blocks.len() <= 50);
        for block in blocks {
            let texts: Vec<(&serde_json::Value, usize)> = match block["type"].as_str() {
                Some("header") => vec![(&block["text"], 150)],
                Some("section") if block.get("fields").is_some() => {
                    let fields = block["fields"].as_array().expect("fields");
                    assert!(fields.len() <= 10);
                    fields.iter().map(|field| (field, 2000)).collect()
                }
                Some("section") => vec![(&block["text"], 3000)],
                Some("context") => vec![(&block["elements"][0], 2000)],
                other => panic!("unexpected block {other:?}"),
            };
            for (text, max) in texts {
                let text = text["text"].as_str().expect("a text");
                let length = text.encode_utf16().count();
                assert!((1..=max).contains(&length), "{kind:?}: {length} of {max}");
                assert!(!text.contains("<!") && !text.contains("<@") && !text.contains("@here"));
                total += length;
            }
        }
        assert!(total <= 13_000, "{kind:?}: {total} in all");
        let fallback = message["text"].as_str().unwrap_or_default();
        assert!(!fallback.is_empty() && !fallback.contains('<') && !fallback.contains("@here"));
    }
}

#[test]
fn no_text_reaches_the_headers_or_the_markup_of_a_mail() {
    for kind in MessageKind::ALL {
        let mail = mail(&hostile(*kind));
        let head = mail.split("\r\n\r\n").next().unwrap_or_default();
        let names: Vec<_> = head
            .split("\r\n")
            .filter(|line| !line.starts_with([' ', '\t']))
            .map(|line| line.split(':').next().unwrap_or_default())
            .collect();
        let known = [
            "From",
            "Reply-To",
            "To",
            "Subject",
            "Message-ID",
            "In-Reply-To",
            "References",
            "Date",
            "Auto-Submitted",
            "List-Id",
            "MIME-Version",
            "Content-Type",
        ];
        assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
        assert!(mail.is_ascii() && mail.split("\r\n").all(|line| line.len() <= 998));
        assert_eq!(mail.matches('\n').count(), mail.matches("\r\n").count());
        let html = mail.split("text/html").nth(1).unwrap_or_default();
        assert!(html.contains("<html") && !html.contains("<script"), "{kind:?}");
    }
}

#[test]
fn all_mails_of_an_incident_share_thread_and_subject_and_differ_in_id() {
    let header = |mail: &str, name: &str| {
        let line = mail.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.to_owned()
    };
    let kinds =
        [MessageKind::Firing, MessageKind::Escalated, MessageKind::Reminder, MessageKind::Resolved];
    let mails: Vec<_> = kinds.iter().map(|kind| mail(&facts(*kind))).collect();
    let set = |name: &str| {
        mails.iter().map(|mail| header(mail, name)).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(set("References").len(), 1);
    assert_eq!(set("In-Reply-To").len(), 1);
    assert_eq!(set("Message-ID").len(), kinds.len());
    let stems: std::collections::BTreeSet<_> =
        set("Subject").iter().map(|line| line.replace("Re: ", "")).collect();
    assert_eq!(stems.len(), 1, "{stems:?}");
    // The same notification composed again is the same mail, byte for byte.
    assert_eq!(mail(&facts(MessageKind::Firing)), mails[0]);
}

#[test]
fn one_sentence_says_how_much_against_what() {
    let cases = [
        (MetricKind::Count, 25.0, 20.0, 300, None, "25 errors in 5 min (threshold 20)"),
        (MetricKind::Count, 1.0, 1.0, 60, None, "1 error in 1 min (threshold 1)"),
        (MetricKind::Rate, 4.2, 3.0, 600, None, "4.2 errors/min over 10 min (threshold 3)"),
        (
            MetricKind::Ratio,
            0.075,
            0.05,
            900,
            Some(120),
            "7.5 % of 120 runs failed in 15 min (threshold 5 %)",
        ),
        (
            MetricKind::Ratio,
            1.5,
            0.05,
            900,
            Some(20),
            "30 errors for 20 runs in 15 min, 150 % (threshold 5 %)",
        ),
        (
            MetricKind::Ratio,
            0.1,
            0.05,
            900,
            None,
            "10 % of the runs failed in 15 min (threshold 5 %)",
        ),
    ];
    for (metric, value, threshold, window, runs, expected) in cases {
        let mut facts = facts(MessageKind::Firing);
        let mut incident = incident(MessageKind::Firing, metric);
        (incident.value, incident.threshold, incident.evidence.runs) = (value, threshold, runs);
        incident.evidence.errors = 30;
        incident.rule.window_seconds = window;
        facts.incident = Some(incident);
        assert_eq!(sentence(&facts), expected);
    }
    assert_eq!(
        sentence(&facts(MessageKind::Resolved)),
        "4 errors in 5 min, below 20; it lasted 32 min 10 s, the peak was 1,250"
    );
}

#[test]
fn facts_survive_the_outbox() {
    for kind in MessageKind::ALL {
        let facts = facts(*kind);
        let json = serde_json::to_value(&facts).expect("JSON");
        assert_eq!(json["transition"], kind.as_str());
        assert_eq!(serde_json::from_value::<NotificationFacts>(json).expect("read back"), facts);
    }
}
