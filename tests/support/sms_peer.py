"""Providers' own libraries at work, for the end-to-end tests: they sign webhooks, check what we sign, and use their clients.

  sms_peer.py twilio URL TOKEN < form fields as JSON      the headers of a request that Twilio signed
  sms_peer.py twilio-shared URL KEY < form fields         the same, signed with a shared key and SHA-256
  sms_peer.py twilio-json URL TOKEN < body                the address with the body's digest in it, and the headers
  sms_peer.py vonage SECRET < body                        the headers of a request that Vonage signed
  sms_peer.py standard SECRET ID < body                   the headers of a standard webhook
  sms_peer.py standard-check SECRET HEADERS < body        checks one of ours
  sms_peer.py twilio-client URL ACCOUNT TOKEN TO          sends and lists by Twilio's client; the ids to that number as JSON
"""

import datetime
import hashlib
import json
import sys
import time
import uuid


def twilio(url, token):
    from twilio.request_validator import RequestValidator

    fields = json.load(sys.stdin)
    return {"x-twilio-signature": RequestValidator(token).compute_signature(url, fields)}


def twilio_shared(url, key):
    from twilio.request_validator import HMAC_SHA256, RequestValidator

    signature = RequestValidator(key).compute_signature(url, json.load(sys.stdin), HMAC_SHA256)
    return {"x-twilio-signature": signature, "x-twilio-webhooks-signature-settings": f"key=webhooks_sharedkey_1,algorithm={HMAC_SHA256}"}


def twilio_json(url, token):
    from twilio.request_validator import RequestValidator

    validator, body = RequestValidator(token), sys.stdin.read()
    url += f"?bodySHA256={validator.compute_hash(body)}"
    signature = validator.compute_signature(url, {})
    # what Twilio's own library does not believe, nobody need believe
    assert validator.validate(url, body, signature)
    return {"url": url, "headers": {"x-twilio-signature": signature}}


def vonage(secret):
    import jwt
    from vonage_jwt import verify_jwt

    body = sys.stdin.buffer.read()
    claims = {
        "iat": int(time.time()), "jti": str(uuid.uuid4()), "iss": "Vonage", "api_key": "a1b2c3d4",
        "payload_hash": hashlib.sha256(body).hexdigest(),
    }
    token = jwt.encode(claims, secret, algorithm="HS256")
    # what Vonage's own library does not believe, nobody need believe
    assert verify_jwt.verify_signature(token, secret)
    return {"authorization": f"Bearer {token}"}


def standard(secret, message_id):
    from standardwebhooks.webhooks import Webhook

    now = datetime.datetime.now(datetime.timezone.utc)
    signature = Webhook(secret).sign(message_id, now, sys.stdin.read())
    return {"webhook-id": message_id, "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}


def standard_check(secret, headers):
    from standardwebhooks.webhooks import Webhook

    return Webhook(secret).verify(sys.stdin.read(), json.loads(headers))


def twilio_client(url, account, token, to):
    from twilio.http.http_client import TwilioHttpClient
    from twilio.rest import Client

    class Here(TwilioHttpClient):
        """Twilio's client with another host."""

        def request(self, method, uri, *arguments, **named):
            return super().request(method, uri.replace("https://api.twilio.com", url), *arguments, **named)

    client = Client(account, token, http_client=Here())
    made = client.messages.create(to=to, from_="+390471000001", body="Dal client di Twilio")
    listed = client.messages.list(to=to, limit=50)
    assert made.sid in [message.sid for message in listed], "what was made is listed"
    assert all(isinstance(message.date_created, datetime.datetime) for message in listed)
    return [message.sid for message in listed]


COMMANDS = {
    "twilio": twilio, "twilio-shared": twilio_shared, "twilio-json": twilio_json, "twilio-client": twilio_client,
    "vonage": vonage, "standard": standard, "standard-check": standard_check,
}
print(json.dumps(COMMANDS[sys.argv[1]](*sys.argv[2:])))
