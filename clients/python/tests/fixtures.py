"""What the emulator is told to know and to do, as its fixtures write it."""

import json

PERSON_IN_25_GROUPS = """
[[persons]]
person_id = "alice"
face_model_version = "3.0"
""" + "".join(
    f'[[persons.groups]]\ngroup_id = "group-{number}"\nperson_ex_descriptions = []\n'
    for number in range(25)
)

SILENCE = "[[faults]]\nhold = true\ntimes = 1000\n"


def group(group_id):
    """Returns a group."""
    return f'[[groups]]\ngroup_id = "{group_id}"\ngroup_name = "a"\ncreation_timestamp = 0\n'


def refusal(code, message, operation=None, times=1):
    """Returns a fault: some calls of an operation, or of any, are refused with a code."""
    message = json.dumps(message, ensure_ascii=False)
    lines = [
        "[[faults]]",
        f'refuse = {{ code = "{code}", message = {message} }}',
        f"times = {times}",
    ]
    if operation:
        lines.append(f'action = "{operation}"')
    return "\n".join(lines) + "\n"
