"""A stock AMQP client that knows only the AsyncAPI document: hands a contact in and reads what becomes of it.

  stock_client.py AMQP_URL DOCUMENT     prints the events it saw, then the contact's id
"""

import datetime
import json
import sys
import time
import uuid

import pika


def of(document, channel, message):
    """Exchange, address template and type of a message."""
    address = document["channels"][channel]
    kind = document["components"]["messages"][message]["bindings"]["amqp"]["messageType"]
    return address["bindings"]["amqp"]["exchange"]["name"], address["address"], kind


def main():
    url, path = sys.argv[1:]
    with open(path) as file:
        document = json.load(file)
    names = {"pool": "main", "administration": "comune"}
    inbound, inbound_address, inbound_kind = of(document, "inbound", "inboundMessage")
    events, events_address, _ = of(document, "events", "contactReceived")
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.confirm_delivery()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, events, events_address.format(**names, event="#"))

    call, now = str(uuid.uuid4()), datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    data = {"account": "telefono", "provider_id": call, "received_at": now, "from": {"address": "+390471000001"}, "language": "it"}
    event = {"specversion": "1.0", "id": call, "source": "/account/telefono", "type": inbound_kind, "time": now, "data": data}
    properties = pika.BasicProperties(content_type=document["defaultContentType"], delivery_mode=2, message_id=call)
    channel.basic_publish(inbound, inbound_address.format(**names, channel="phone"), json.dumps(event), properties, mandatory=True)

    seen, contact, deadline, last = [], None, time.monotonic() + 30, 0
    for method, _, body in channel.consume(queue, inactivity_timeout=1):
        if time.monotonic() > deadline:
            sys.exit(f"the offer was not seen within 30 s, only {seen}")
        if method is None:
            continue
        channel.basic_ack(method.delivery_tag)
        said = json.loads(body)["data"]
        if said["seq"] <= last:
            continue
        last = said["seq"]
        if said["event"] == "contact.received":
            contact = said["about"]["contact"]
        seen.append(said["event"])
        if said["event"] == "offer.made" and said["about"]["contact"] == contact:
            break
    wanted = ["contact.received", "contact.queued", "offer.made"]
    if [name for name in seen if name in wanted] != wanted:
        sys.exit(f"not in this order: {seen}")
    print(" ".join(seen), contact)


main()
