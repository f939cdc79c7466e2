"""Fixtures of the emulator, in TOML."""

import json

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
