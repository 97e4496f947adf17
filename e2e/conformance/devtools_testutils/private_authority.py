"""What azure-identity's own tests lack to meet an authority that is not Microsoft's: they were written for one of Microsoft's alone.

Loaded by `pytest -p devtools_testutils.private_authority`, for that suite only. It changes a default that every user can set, and how one name
is resolved; the SDK's code runs as it is.
"""

import os
import socket
from urllib.parse import urlsplit

from azure.identity._internal import msal_credentials


def without_instance_discovery():
    """Users of a private authority say `disable_instance_discovery=True`; the tests do not, so it is the default here."""
    made = msal_credentials.MsalCredential.__init__

    def init(self, *args, **kwargs):
        kwargs.setdefault("disable_instance_discovery", True)
        made(self, *args, **kwargs)

    msal_credentials.MsalCredential.__init__ = init


def at_the_usual_port():
    """MSAL asks for a user's realm at the authority's name without its port: it is led to where the authority is."""
    authority = urlsplit(os.environ["AZURE_AUTHORITY_HOST"])
    resolve = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):
        is_authority = host in (authority.hostname, authority.hostname.encode()) and port == 443
        return resolve(host, authority.port if is_authority else port, *args, **kwargs)

    socket.getaddrinfo = getaddrinfo


without_instance_discovery()
at_the_usual_port()
