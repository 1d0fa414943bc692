//! What every kind of message looks like on every medium, and that no text breaks out of any.

use lettre::message::Mailbox;
use uuid::Uuid;

use super::{
    controls, digest,
    email::{self, Letter},
    message::{MessageKind, MetricKind, NotificationFacts},
    pagerduty,
    samples::{facts, hostile, incident},
    sentence::sentence,
    slack,
    template::Texts,
    view::View,
    webhook,
};
use crate::model::{AbsenceOf, Detail};

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
        insta::assert_json_snapshot!(format!("slack_reply_{name}"), slack::reply(&facts));
        let severities = ["warning".to_owned(), "critical".to_owned()];
        let id = Uuid::from_u128(0xabc);
        let events = pagerduty::events(&facts, id, "00000000000000000000000000000000", &severities);
        insta::assert_json_snapshot!(format!("pagerduty_{name}"), events);
    }
}

#[test]
fn a_message_with_buttons() {
    let facts = facts(MessageKind::Firing);
    let mut message = slack::render(&facts);
    controls::add_buttons(&mut message, &facts);
    insta::assert_json_snapshot!("slack_buttons", message);
}

/// Every kind of rule in every kind of message says something that makes sense.
#[test]
fn every_kind_of_message_about_every_kind_of_rule() {
    let shares = (0.25, 0.02, 0.3);
    let earlier = Detail::Earlier { errors: 5, seconds: 86_400 };
    let burn = Detail::Burn { long_seconds: 3_600, short_seconds: 300 };
    let rules = [
        (MetricKind::Count, (25.0, 20.0, 40.0), None),
        (MetricKind::Rate, (4.2, 3.0, 5.0), None),
        (MetricKind::Ratio, shares, None),
        (MetricKind::Ratio, shares, Some(Detail::NoData { min_runs: 20 })),
        (MetricKind::NewGroup, (1.0, 1.0, 3.0), None),
        (MetricKind::Change, (4.0, 1.0, 5.0), Some(earlier)),
        (MetricKind::BurnRate, (15.0, 14.4, 20.0), Some(burn)),
        (MetricKind::BurnRate, shares, Some(Detail::NoData { min_runs: 20 })),
        (MetricKind::Absence, (2.0, 1.0, 2.5), Some(Detail::Silence { of: AbsenceOf::Runs })),
        (MetricKind::System, (1.0, 1.0, 1.0), None),
    ];
    let mut lines = Vec::new();
    for (metric, (value, threshold, peak), detail) in rules {
        for kind in MessageKind::ALL.iter().filter(|kind| **kind != MessageKind::Test) {
            let mut facts = facts(*kind);
            let mut incident = incident(*kind, metric);
            let over = *kind == MessageKind::Resolved;
            incident.value = if over { threshold / 2.0 } else { value };
            (incident.threshold, incident.peak) = (threshold, peak);
            if metric == MetricKind::BurnRate {
                incident.rule.window_seconds = 30 * 86_400;
                incident.rule.longest_window_seconds = Some(3 * 86_400);
            }
            (incident.evidence.runs, incident.evidence.detail) = (Some(5_000), detail);
            facts.incident = Some(incident);
            let view = View::of(&facts);
            lines.push(format!("{} {} | {}", view.sign, view.headline, view.sentence));
        }
    }
    insta::assert_snapshot!("headlines_and_sentences", lines.join("\n"));
}

/// The first message of each kind of rule that is not a mere number of errors, as Slack and a webhook get it.
#[test]
fn kinds_that_are_measured_over_other_windows() {
    let hour = 3_600;
    for (metric, (value, threshold), detail, (window, longest)) in [
        (
            MetricKind::BurnRate,
            (15.0, 14.4),
            Detail::Burn { long_seconds: hour, short_seconds: 300 },
            (720 * hour, Some(72 * hour)),
        ),
        (
            MetricKind::Change,
            (250.0, 100.0),
            Detail::Earlier { errors: 7, seconds: 24 * hour },
            (hour, None),
        ),
        (
            MetricKind::Absence,
            (3.0, 3.0),
            Detail::Silence { of: AbsenceOf::Errors },
            (600, Some(1_800)),
        ),
    ] {
        let mut facts = facts(MessageKind::Firing);
        let mut incident = incident(MessageKind::Firing, metric);
        (incident.value, incident.threshold, incident.peak) = (value, threshold, value);
        incident.rule.window_seconds = window;
        incident.rule.longest_window_seconds = longest;
        incident.evidence.detail = Some(detail);
        incident.evidence.runs = (metric == MetricKind::BurnRate).then_some(5_000);
        facts.incident = Some(incident);
        let name = serde_json::to_value(metric).expect("a word");
        let name = name.as_str().unwrap_or_default();
        insta::assert_json_snapshot!(format!("slack_of_{name}"), slack::render(&facts));
        let body = webhook::body(Uuid::from_u128(0xabc), &facts);
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        insta::assert_json_snapshot!(format!("webhook_of_{name}"), body);
    }
}

#[test]
fn digests_on_every_medium() {
    let mut news = Vec::new();
    for n in 0..30_u128 {
        let kind = if n % 3 == 2 { MessageKind::Resolved } else { MessageKind::Firing };
        let mut facts = facts(kind);
        if let Some(incident) = &mut facts.incident {
            incident.id = Uuid::from_u128(0x2000 + n);
            incident.group.truncate(1);
            incident.group[0].name = Some(format!("workflow-{n} v1"));
        }
        news.push(facts);
    }
    let news: Vec<_> = news.iter().collect();
    insta::assert_json_snapshot!("slack_digest", digest::render(&news));
    let mailbox = |text: &str| text.parse::<Mailbox>().expect("an address");
    let letter = Letter {
        notification_id: Uuid::from_u128(0xabc),
        channel_id: Uuid::from_u128(0xc),
        from: &mailbox("Alerts <alerts@mesh.example>"),
        reply_to: None,
        to: &[mailbox("ada@mesh.example")],
        links: None,
    };
    let mail = email::compose_digest(letter, &news).expect("composed").formatted();
    let mail = String::from_utf8(mail).expect("mails are ascii");
    assert!(mail.split("\r\n").all(|line| line.len() <= 998));
    insta::assert_snapshot!("email_digest", mail.replace('\r', ""));
    let again = email::compose_digest(letter, &news).expect("composed").formatted();
    assert_eq!(again, mail.into_bytes(), "a retry is the same mail");
}

#[test]
fn webhook_payloads_are_what_their_schema_says() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../docs/schema/webhook-v1.json")).expect("JSON");
    let validator = jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(&schema)
        .expect("a schema");
    for kind in MessageKind::ALL {
        for mut facts in [facts(*kind), hostile(*kind)] {
            facts.texts.body = Some("b".into());
            let body = webhook::body(Uuid::from_u128(0xabc), &facts);
            let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
            // What the outbox cannot hold is never sent: it is null in JSON and no number.
            let finite = facts.incident.as_ref().is_none_or(|i| i.value.is_finite());
            let errors: Vec<_> = validator.iter_errors(&body).map(|e| e.to_string()).collect();
            assert_eq!(errors.is_empty(), finite, "{kind:?}: {errors:?}");
            for (pointer, wrong) in [
                ("/version", serde_json::json!(2)),
                ("/id", serde_json::json!("x")),
                ("/data/at", serde_json::json!(7)),
            ] {
                let mut broken = body.clone();
                *broken.pointer_mut(pointer).expect(pointer) = wrong;
                assert!(!validator.is_valid(&broken), "{pointer}");
            }
            let mut broken = body.clone();
            broken.as_object_mut().expect("an object").remove("data");
            assert!(!validator.is_valid(&broken));
        }
    }
}

#[test]
fn a_rules_own_words_stand_on_every_medium() {
    let mut facts = facts(MessageKind::Firing);
    facts.texts = Texts {
        title: Some("Own title".into()),
        body: Some("First line.\nSecond line.".into()),
        note: Some("A note.".into()),
    };
    let slack = slack::render(&facts).to_string();
    let (mail, hook) = (mail(&facts), webhook::body(Uuid::nil(), &facts));
    for text in [slack, mail.replace("=\r\n", "")] {
        for words in ["Own title", "First line.", "Second line.", "A note."] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(!text.contains("status page first"), "the description gives way: {text}");
    }
    let hook: serde_json::Value = serde_json::from_str(&hook).expect("JSON");
    assert_eq!(hook["title"], "Own title");
    assert_eq!(hook["body"], "First line.\nSecond line.");
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
