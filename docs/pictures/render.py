#!/usr/bin/env python3
"""Renders messages of the snapshot tests as pictures, with Chromium and a font that has emoji (on Debian:
fonts-noto-color-emoji): docs/pictures/mail-*.png and slack-*.png.

Slack messages are drawn from their blocks in about the way in which Slack draws them.
"""

import email, email.policy, html, json, pathlib, re, subprocess, tempfile

here = pathlib.Path(__file__).resolve().parent
snapshots = here.parent.parent / "src/notify/snapshots"


def snapshot(name):
    """A snapshot is a head, a line of dashes, and what it holds."""
    file = snapshots / f"meshhook_errors__notify__rendering_tests__{name}.snap"
    return file.read_text().split("\n---\n", 1)[1]


def picture(name, width, height, page):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "page.html"
        file.write_text(page)
        subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             f"--window-size={width},{height}", f"--screenshot={here / f'{name}.png'}", file.as_uri()],
            check=True, stderr=subprocess.DEVNULL)


def mail(kind):
    message = email.message_from_string(snapshot(f"email_{kind}"), policy=email.policy.default)
    return message.get_body(("html",)).get_content()


STYLE = """
body { margin: 0; padding: 14px 18px; font: 15px/1.45 Lato, system-ui, sans-serif; color: #1d1c1d; background: #fff; }
.message { display: grid; grid-template-columns: 36px 1fr; gap: 0 10px; margin-bottom: 10px; }
.face { width: 36px; height: 36px; border-radius: 6px; background: #b3261e; color: #fff; font-weight: 700; text-align: center;
  line-height: 36px; }
.who { font-weight: 800; } .who small { font-weight: 400; color: #616061; margin-left: 6px; }
.who i { font-style: normal; font-weight: 400; font-size: 11px; background: #ddd; border-radius: 3px; padding: 1px 4px; margin-left: 4px; }
h1 { font-size: 18px; margin: 2px 0 6px; } .section { margin: 4px 0; white-space: pre-line; }
.fields { display: grid; grid-template-columns: 1fr 1fr; gap: 8px 16px; margin: 6px 0; white-space: pre-line; }
.context { color: #616061; font-size: 13px; margin: 6px 0; } .actions { margin: 8px 0; }
.actions span { display: inline-block; border: 1px solid #bbb; border-radius: 4px; padding: 4px 12px; margin-right: 8px; font-weight: 700; }
code { font: 12px ui-monospace, monospace; color: #c01343; background: #f8f8f8; border: 1px solid #ddd; border-radius: 3px; padding: 1px 3px; }
a { color: #1264a3; text-decoration: none; } .thread { margin: 4px 0 0 46px; border-left: 3px solid #ddd; padding-left: 14px; }
"""


def text(one):
    """Slack's markup as HTML; the text has the three signs that matter as entities already."""
    value = html.escape(html.unescape(one["text"]).replace("<", "\0"), quote=False)
    value = one["text"] if one["type"] == "mrkdwn" else value.replace("\0", "&lt;")
    value = re.sub(r"<([^|>]+)\|([^>]+)>", r'<a href="#">\2</a>', value)
    value = re.sub(r"`([^`]+)`", r"<code>\1</code>", value)
    return re.sub(r"(^|\n| )\*([^*\n]+)\*", r"\1<b>\2</b>", value)


def block(one):
    match one:
        case {"type": "header"}:
            return f"<h1>{text(one['text'])}</h1>"
        case {"type": "section", "fields": fields}:
            return '<div class="fields">' + "".join(f"<div>{text(f)}</div>" for f in fields) + "</div>"
        case {"type": "section"}:
            return f'<div class="section">{text(one["text"])}</div>'
        case {"type": "actions"}:
            return '<div class="actions">' + "".join(f"<span>{text(e['text'])}</span>" for e in one["elements"]) + "</div>"
        case {"type": "context"}:
            return '<div class="context">' + " ".join(text(e) for e in one["elements"]) + "</div>"


def message(name, clock):
    body = "".join(block(one) for one in json.loads(snapshot(name))["blocks"])
    who = f'<div class="who">Alerts<i>APP</i><small>{clock}</small></div>'
    return f'<div class="message"><div class="face">!</div><div>{who}{body}</div></div>'


def slack(*messages, thread=()):
    replies = f'<div class="thread">{"".join(thread)}</div>' if thread else ""
    return f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style>{"".join(messages)}{replies}'


for kind, (width, height) in {"firing": (720, 620), "resolved": (720, 640), "digest": (720, 830)}.items():
    picture(f"mail-{kind}", width, height, mail(kind))
picture("slack-webhook", 720, 520, slack(message("slack_buttons", "15:00")))
picture("slack-bot", 720, 880, slack(
    message("slack_resolved", "15:00 (edited)"),
    thread=[message("slack_reply_escalated", "15:04"), message("slack_reply_acknowledged", "15:06"),
            message("slack_reply_resolved", "15:32")]))
picture("slack-digest", 720, 330, slack(message("slack_digest", "15:00")))
