"""A mail server for tests: what it accepts goes into a maildir, with the envelope in two fields of its own. Recipients
`temporary@...` and `permanent@...` are refused so. With a certificate it wants STARTTLS and a login. Prints its port."""

import asyncio
import mailbox
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Handler:
    def __init__(self, folder):
        self.maildir = mailbox.Maildir(folder)

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("temporary@"):
            return "451 4.3.0 later"
        if address.startswith("permanent@"):
            return "550 5.1.1 never"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        head = f"X-Envelope-From: <{envelope.mail_from}>\r\nX-Envelope-To: {', '.join(envelope.rcpt_tos)}\r\n"
        self.maildir.add(head.encode() + envelope.original_content)
        return "250 kept"


def authenticate(server, session, envelope, mechanism, data):
    known = (data.login, data.password) == (b"urp", b"segreta")
    return AuthResult(success=known, handled=known)


async def main():
    handler = Handler(sys.argv[1])
    options = {"hostname": "localhost", "enable_SMTPUTF8": True}
    if len(sys.argv) > 3:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
        options |= {"tls_context": context, "require_starttls": True, "authenticator": authenticate, "auth_required": True}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler, loop=loop, **options), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
