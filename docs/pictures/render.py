#!/usr/bin/env python3
"""Renders the mails of the snapshot tests as pictures, with Chromium: docs/pictures/mail-*.png."""

import email, email.policy, pathlib, subprocess, tempfile

here = pathlib.Path(__file__).resolve().parent
snapshots = here.parent.parent / "src/notify/snapshots"
sizes = {"firing": (720, 620), "resolved": (720, 640), "digest": (720, 830)}

for kind, (width, height) in sizes.items():
    name = f"meshhook_errors__notify__rendering_tests__email_{kind}.snap"
    # A snapshot is a head, a line of dashes, and the mail.
    mail = (snapshots / name).read_text().split("\n---\n", 1)[1]
    message = email.message_from_string(mail, policy=email.policy.default)
    html = message.get_body(("html",)).get_content()
    with tempfile.TemporaryDirectory() as folder:
        page = pathlib.Path(folder) / "mail.html"
        page.write_text(html)
        subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             f"--window-size={width},{height}", f"--screenshot={here / f'mail-{kind}.png'}", page.as_uri()],
            check=True, stderr=subprocess.DEVNULL)
