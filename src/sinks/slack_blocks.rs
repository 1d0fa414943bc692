//! Whether Slack would take a message's blocks: the kinds and limits of docs.slack.dev's Block Kit that
//! alerts use.

use serde_json::Value;

/// At most so many blocks.
const BLOCKS_MAX: usize = 50;
/// In practice a message with more text than this is refused.
const WHOLE_MAX: usize = 13_200;

/// Checks blocks; null stands for none.
///
/// # Errors
/// Slack's name of what is wrong.
pub(super) fn check(blocks: &Value) -> Result<(), &'static str> {
    let list = match blocks {
        Value::Null => return Ok(()),
        Value::Array(list) => list,
        _ => return Err("invalid_blocks_format"),
    };
    if list.len() > BLOCKS_MAX {
        return Err("invalid_blocks");
    }
    let mut whole = 0;
    for block in list {
        whole += length(block).ok_or("invalid_blocks")?;
    }
    if whole > WHOLE_MAX { Err("msg_blocks_too_long") } else { Ok(()) }
}

/// How much text a block holds, where it is one that Slack takes.
fn length(block: &Value) -> Option<usize> {
    match block.get("type")?.as_str()? {
        "header" => text(block.get("text")?, &["plain_text"], 150),
        "section" => {
            let own = match block.get("text") {
                Some(own) => text(own, &["mrkdwn", "plain_text"], 3_000)?,
                None => 0,
            };
            let fields = match block.get("fields") {
                Some(fields) => all(fields, 10, 2_000)?,
                None => 0,
            };
            (own + fields > 0).then_some(own + fields)
        }
        "context" => all(block.get("elements")?, 10, 3_000),
        "actions" => {
            let elements = block.get("elements")?.as_array()?;
            (1..=25).contains(&elements.len()).then_some(0)
        }
        "divider" => Some(0),
        _ => None,
    }
}

fn all(list: &Value, most: usize, longest: usize) -> Option<usize> {
    let list = list.as_array().filter(|list| (1..=most).contains(&list.len()))?;
    list.iter().map(|element| text(element, &["mrkdwn", "plain_text"], longest)).sum()
}

fn text(object: &Value, kinds: &[&str], longest: usize) -> Option<usize> {
    let kind = object.get("type")?.as_str()?;
    let length = object.get("text")?.as_str()?.encode_utf16().count();
    (kinds.contains(&kind) && (1..=longest).contains(&length)).then_some(length)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_slack_refuses_is_refused() {
        let section = |length: usize| json!({"type": "section", "text": {"type": "mrkdwn", "text": "x".repeat(length)}});
        let cases = [
            (Value::Null, Ok(())),
            (json!({}), Err("invalid_blocks_format")),
            (json!([section(3_000)]), Ok(())),
            (json!([section(3_001)]), Err("invalid_blocks")),
            (json!([section(0)]), Err("invalid_blocks")),
            (
                json!([{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}]),
                Err("invalid_blocks"),
            ),
            (json!([{"type": "poem"}]), Err("invalid_blocks")),
            (Value::Array(vec![section(1); 51]), Err("invalid_blocks")),
            (Value::Array(vec![section(3_000); 5]), Err("msg_blocks_too_long")),
        ];
        for (blocks, expected) in cases {
            assert_eq!(check(&blocks), expected, "{blocks}");
        }
    }
}
