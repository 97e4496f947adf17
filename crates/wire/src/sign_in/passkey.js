// Makes or uses a passkey, and sends what the browser has answered with the form. Where this does not run there is the password.
"use strict";
const form = document.querySelector("form[data-passkey]");
const read = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
const write = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const make = async (of) => {
  const known = of.known.split(" ").filter(Boolean).map((id) => ({ type: "public-key", id: read(id) }));
  const { response } = await navigator.credentials.create({ publicKey: {
    rp: { id: of.site, name: "Keyless" },
    user: { id: new TextEncoder().encode(of.user), name: of.name, displayName: of.name },
    challenge: read(of.challenge),
    pubKeyCredParams: [-7, -8, -257].map((alg) => ({ type: "public-key", alg })),
    authenticatorSelection: { residentKey: "required", userVerification: "required" },
    attestation: "none",
    excludeCredentials: known,
  } });
  return { passkey_client_data: response.clientDataJSON, passkey_object: response.attestationObject };
};
const use = async (of) => {
  const { rawId, response } = await navigator.credentials.get({ publicKey: {
    rpId: of.site, challenge: read(of.challenge), userVerification: "required",
  } });
  return {
    passkey_id: rawId, passkey_user: response.userHandle, passkey_client_data: response.clientDataJSON,
    passkey_data: response.authenticatorData, passkey_signature: response.signature,
  };
};
if (form && window.PublicKeyCredential) {
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const said = form.querySelector("[role=alert]");
    try {
      const answer = await (form.dataset.passkey === "make" ? make : use)(form.dataset);
      for (const [name, bytes] of Object.entries(answer)) form.elements[name].value = write(bytes);
      form.submit();
    } catch (error) {
      said.textContent = "The browser has not done it: " + error.message;
      said.hidden = false;
    }
  });
}
