//! The commands of `docs/api.md`, one after the other, and whether what they answer looks as the page shows.

use reqwest::Method;
use serde_json::Value;

use super::words;
use crate::api::rig::{Answer, Rig};

const PAGE: &str = include_str!("../../../docs/api.md");

/// The page's blocks in their order: language and text.
fn blocks() -> impl Iterator<Item = (&'static str, &'static str)> {
    // Every second part is between fences.
    PAGE.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'))
}

async fn curl(rig: &Rig, command: &str) -> Answer {
    let project = rig.a.project.to_string();
    let words: Vec<String> =
        words(command).into_iter().map(|word| word.replace("$P", &project)).collect();
    assert_eq!(words[0], "curl");
    let path = words[1].strip_prefix("$D").expect("an address of the daemon");
    let (mut headers, mut body, mut token) = (Vec::new(), None, None);
    for pair in words[2..].chunks(2) {
        match (pair[0].as_str(), pair[1].split_once(": ")) {
            ("-H", Some(("Authorization", "Bearer $T"))) => token = Some(rig.a.owner.as_str()),
            ("-H", Some((name, value))) => headers.push((name, value)),
            ("-d", _) => body = Some(pair[1].clone().into_bytes()),
            _ => panic!("{pair:?}"),
        }
    }
    let method = if body.is_some() { Method::POST } else { Method::GET };
    rig.send(method, path, token, &headers, body).await
}

/// Whether an answer has everything that a sample shows, in the same form.
fn is_like(sample: &Value, answer: &Value) -> bool {
    match (sample, answer) {
        (Value::Object(sample), Value::Object(answer)) => sample
            .iter()
            .all(|(name, sample)| answer.get(name).is_some_and(|answer| is_like(sample, answer))),
        (Value::Array(sample), Value::Array(answer)) => {
            sample.len() <= answer.len() && sample.iter().zip(answer).all(|(s, a)| is_like(s, a))
        }
        (Value::String(_), Value::String(_)) | (Value::Null, Value::Null) => true,
        (Value::Number(_), Value::Number(_)) => true,
        _ => sample == answer,
    }
}

#[tokio::test]
async fn the_commands_of_the_page_answer_as_it_shows() {
    let rig = Rig::start().await;
    let (mut statuses, mut samples, mut last) = (Vec::new(), 0, Value::Null);
    for (language, text) in blocks() {
        match language {
            "sh" => {
                let answer = curl(&rig, text.trim()).await;
                assert!(answer.status < 300, "{text}\n{answer:?}");
                statuses.push(answer.status);
                last = answer.json();
            }
            "json" => {
                let sample = text.replace(", …", "");
                let sample: Value =
                    serde_json::from_str(&sample).expect("JSON but for what is left out");
                assert!(is_like(&sample, &last), "the page shows {sample}\nbut it is {last}");
                samples += 1;
            }
            _ => panic!("a block of {language}"),
        }
    }
    assert_eq!(statuses, [201, 207, 200, 200, 200], "report, report two, read, as CSV, counts");
    assert_eq!(samples, 4);
    rig.instance.stop().await;
}
