// Keeps what is typed in a form on the server, so that a closed tab or another language loses nothing.
for (const form of document.querySelectorAll("form[data-draft]")) {
  const state = form.querySelector("[data-draft-state]");
  let timer = 0;
  let isDirty = false;
  let isSent = false;

  const typed = () => {
    const body = new FormData(form);
    body.set("step", "autosave");
    return body;
  };
  const save = async () => {
    clearTimeout(timer);
    if (!isDirty || isSent) return;
    isDirty = false;
    try {
      // Who is signed out is led to another page, which is no answer to this.
      const answer = await fetch(form.action, { method: "POST", body: typed(), redirect: "manual" });
      if (answer.status !== 204) throw new Error(String(answer.status));
      state.textContent = form.dataset.saved;
    } catch {
      isDirty = true;
      state.textContent = form.dataset.unsaved;
    }
  };
  const note = () => {
    isDirty = true;
    clearTimeout(timer);
    timer = setTimeout(save, 1000);
  };
  form.addEventListener("input", note);
  form.addEventListener("change", note);
  form.addEventListener("click", (event) => { if (event.target.closest("[type=button]")) note(); });
  form.addEventListener("submit", () => { isSent = true; });
  addEventListener("pageshow", () => { isSent = false; });
  // Forms around this one, such as the choice of language, leave the page: what was typed goes first.
  document.addEventListener("submit", async (event) => {
    if (event.target === form || !isDirty) return;
    event.preventDefault();
    await save();
    isDirty = false;
    event.target.requestSubmit(event.submitter);
  });
  addEventListener("visibilitychange", () => {
    if (document.visibilityState !== "hidden" || !isDirty || isSent) return;
    isDirty = !navigator.sendBeacon(form.action, typed());
  });
}
