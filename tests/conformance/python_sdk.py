"""Helpers for cases: Tencent Cloud's Python SDK and the emulator."""

import json
import os
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.kms.v20190118 import kms_client, models

ENDPOINT = urlsplit(os.environ["ENVELOPE_TENCENT_ENDPOINT"]).netloc
CONTROL = os.environ["EMULATOR_CONTROL"]
REGION, KEY = os.environ["ENVELOPE_KEY"].removeprefix("tencent-kms://").split("/")
SECRET_ID = os.environ["TENCENTCLOUD_SECRET_ID"]
SECRET_KEY = os.environ["TENCENTCLOUD_SECRET_KEY"]
ROLE_ARN = "qcs::cam::uin/100000000001:roleName/emulator"
CONTEXT = '{"name":"db","namespace":"prod"}'
LONG_LIVED = credential.Credential(SECRET_ID, SECRET_KEY)

# The actions to cover: those of our client, and those of the suite `live`.
ACTIONS = set(json.loads(Path(__file__).with_name("actions.json").read_text()))

CASES = []
# The actions that have succeeded so far.
SUCCEEDED = set()


def case(function):
    CASES.append(function)
    return function


def control(command):
    request = urllib.request.Request(CONTROL, json.dumps(command).encode(), method="POST")
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def fault(effect, action, times=None):
    control({"fault": {"action": action, "times": times, "effect": effect}})


def calls(action):
    """The number of calls since the start of the case."""
    return sum(row["total"] for row in control("counts") if row["action"] == action)


def client(who=LONG_LIVED, retryer=None, language="en-US", timeout=5):
    http = HttpProfile(protocol="http", endpoint=ENDPOINT, reqTimeout=timeout)
    profile = ClientProfile(httpProfile=http, language=language, retryer=retryer)
    return kms_client.KmsClient(who, REGION, profile)


def call(action, who=None, **parameters):
    request = getattr(models, action + "Request")()
    request.from_json_string(json.dumps(parameters))
    response = getattr(who or client(), action)(request)
    assert len(response.RequestId) == 36, response.RequestId
    return response


def code(action, who=None, **parameters):
    try:
        call(action, who, **parameters)
    except TencentCloudSDKException as error:
        return error.get_code()
    return ""


def generate():
    return call("GenerateDataKey", KeyId=KEY, KeySpec="AES_256", EncryptionContext=CONTEXT)


def new_key(alias):
    return call("CreateKey", Alias=alias, Description="created by the Python SDK").KeyId


def equal(got, wanted):
    assert got == wanted, f"{got!r} is not {wanted!r}"
