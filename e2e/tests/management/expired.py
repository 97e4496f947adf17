"""A client that lives on with its one token, past that token's end."""

import sys

owner = Who("owner")
owner.groups.create_or_update("shop", {"location": "local"})
assert os.system(sys.argv[1]) == 0
refused(ClientAuthenticationError, 401, "ExpiredAuthenticationToken", owner.groups.get, "shop")
assert Who("owner").groups.get("shop").name == "shop", "with another token"
print("done")
