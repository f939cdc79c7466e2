"""Fixtures of the emulator, in TOML."""

import json
import uuid

PERSON_IN_25_GROUPS = """
[[persons]]
person_id = "alice"
face_model_version = "3.0"
""" + "".join(
    f'[[persons.groups]]\ngroup_id = "group-{number}"\nperson_ex_descriptions = []\n'
    for number in range(25)
)

NO_RESPONSE = "[[faults]]\nhold = true\ntimes = 1000\n"


def group(group_id):
    """Returns a group with this id."""
    return f'[[groups]]\ngroup_id = "{group_id}"\ngroup_name = "a"\ncreation_timestamp = 0\n'


def api_error(code, message, operation=None, times=1):
    """Returns a fault: the next requests, of one operation or of all, fail with an error code."""
    message = json.dumps(message, ensure_ascii=False)
    lines = [
        "[[faults]]",
        f'api_error = {{ code = "{code}", message = {message} }}',
        f"times = {times}",
    ]
    if operation:
        lines.append(f'action = "{operation}"')
    return "\n".join(lines) + "\n"


def unlisted_error(code, message, operation):
    """Returns a fault: the next request of an operation fails with a code that the API does not list."""
    error = {"Error": {"Code": code, "Message": message}, "RequestId": str(uuid.uuid4())}
    body = json.dumps(json.dumps({"Response": error}))
    return f'[[faults]]\nresponse = {{ body = {body} }}\naction = "{operation}"\n'
