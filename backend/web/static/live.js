// Looks again while something is under way (a record's way to the ledger, a simulation), and stops once it is settled.
(() => {
  const unsettled = () => document.querySelector("[data-live][data-settled=no]");
  const steady = unsettled()?.hasAttribute("data-steady");
  let wait = 1500;
  const renew = (part, fresh) => {
    const ticked = new Set([...part.querySelectorAll("input:checked")].map((box) => box.value));
    for (const box of fresh.querySelectorAll("input[type=checkbox]")) box.checked = ticked.has(box.value);
    window.localiseTimes?.(fresh);
    part.replaceWith(fresh);
  };
  const look = async () => {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      // What belongs to the end, such as files to download, stands outside of the parts that are renewed.
      if (steady && !page.querySelector("[data-live][data-settled=no]")) { location.reload(); return; }
      for (const part of document.querySelectorAll("[data-live]")) {
        const fresh = page.querySelector(`[data-live=${part.dataset.live}]`);
        if (fresh && !part.contains(document.activeElement)) renew(part, fresh);
      }
    } catch { /* The network is away: look again later. */ }
    wait = steady ? Math.min(wait * 1.1, 4000) : wait * 1.3;
    if (unsettled() && wait < 60000) setTimeout(look, wait);
  };
  if (unsettled()) setTimeout(look, wait);
})();
