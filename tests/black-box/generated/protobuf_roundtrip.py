"""Sends events through the generated messages: JSON to message to bytes to message to JSON.

It knows the messages by their descriptors and by the lock file that is generated with them, and by nothing else: so it
shows that the two are enough to get from an event to a message and back.
"""

import json
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

descriptors, lock_file = sys.argv[1:]
files = descriptor_pb2.FileDescriptorSet()
with open(descriptors, "rb") as file:
    files.ParseFromString(file.read())
pool = descriptor_pool.DescriptorPool()
for file in files.file:
    pool.Add(file)
with open(lock_file, encoding="utf-8") as file:
    lock = json.load(file)
package = next(file.package for file in files.file if not file.name.startswith("google/"))
ADDITIONAL = 536870911


def entries(name):
    """The fields of a message that are there now, by their names in JSON; or of an enum."""
    return lock["messages"][name]


def is_own(descriptor):
    return descriptor is not None and descriptor.full_name.startswith(package + ".")


def field_into(field, value):
    if field.type == field.TYPE_ENUM and is_own(field.enum_type):
        numbers = {entry["json"]: entry["number"] for entry in lock["enums"][field.enum_type.name]}
        one = lambda value: numbers[value]
    elif field.type == field.TYPE_MESSAGE and is_own(field.message_type):
        one = lambda value: into(field.message_type, value)
    else:
        return value
    if field.type == field.TYPE_MESSAGE and field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"]
        return {name: field_into(inner, item) for name, item in value.items()}
    return [one(item) for item in value] if repeated(field) else one(value)


def repeated(field):
    return field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED


def into(descriptor, value):
    """The JSON of a message from JSON of an event."""
    known = lock["messages"].get(descriptor.name)
    if known is None:
        return {
            field.json_name: field_into(field, value[field.json_name])
            for field in descriptor.fields
            if field.json_name in value
        }
    by_json = {
        entry["json"]: descriptor.fields_by_number[entry["number"]]
        for entry in known["fields"]
        if entry["number"] in descriptor.fields_by_number
    }
    if "tag" in known:
        field = by_json[value[known["tag"]]]
        return {field.json_name: field_into(field, value)}
    if descriptor.fields[0].name == "members" and set(by_json) == {"*"}:
        return {"members": field_into(descriptor.fields[0], value)}
    out, rest = {}, {}
    for name, item in value.items():
        field = by_json.get(name)
        if field is None:
            rest[name] = item
        elif item is not None or (field.message_type and field.message_type.full_name == "google.protobuf.Value"):
            out[field.json_name] = field_into(field, item)
    if rest:
        out[descriptor.fields_by_number[ADDITIONAL].json_name] = rest
    return out


def field_from(field, value):
    if field.type == field.TYPE_MESSAGE and field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"]
        return {name: one_from(inner, value[name]) for name in value}
    if repeated(field):
        return [one_from(field, item) for item in value]
    return one_from(field, value)


def one_from(field, value):
    if field.type == field.TYPE_ENUM:
        return next(entry["json"] for entry in lock["enums"][field.enum_type.name] if entry["number"] == value)
    if field.type == field.TYPE_MESSAGE:
        return from_(value) if is_own(field.message_type) else json_format.MessageToDict(value)
    return value


def from_(message):
    """JSON of an event from a message."""
    descriptor = message.DESCRIPTOR
    known = lock["messages"].get(descriptor.name)
    names = {entry["number"]: entry["json"] for entry in known["fields"]} if known else {}
    if known and "tag" in known:
        field = descriptor.fields_by_name[message.WhichOneof("value")]
        return field_from(field, getattr(message, field.name))
    if names and set(names.values()) == {"*"} and descriptor.fields[0].name == "members":
        return field_from(descriptor.fields[0], message.members)
    out = {}
    for field in descriptor.fields:
        if field.number == ADDITIONAL:
            out.update(json_format.MessageToDict(message.additional))
        elif not field.has_presence or message.HasField(field.name):
            out[names.get(field.number, field.json_name)] = field_from(field, getattr(message, field.name))
    return out


def through(case):
    descriptor = pool.FindMessageTypeByName(f"{package}.{case['message']}")
    kind = message_factory.GetMessageClass(descriptor)
    message = json_format.ParseDict(into(descriptor, case["event"]), kind())
    return from_(kind.FromString(message.SerializeToString()))


json.dump([through(case) for case in json.load(sys.stdin)], sys.stdout)
