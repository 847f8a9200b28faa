// Looks again while a record is on its way to the ledger, and stops once its proof is final.
(() => {
  const settled = () => document.querySelector("[data-live=proof]")?.dataset.settled !== "no";
  let wait = 1500;
  const look = async () => {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-live]")) {
        const fresh = page.querySelector(`[data-live=${part.dataset.live}]`);
        if (fresh) { window.localiseTimes?.(fresh); part.replaceWith(fresh); }
      }
    } catch { /* The network is away: look again later. */ }
    if (!settled() && wait < 60000) setTimeout(look, wait *= 1.3);
  };
  if (!settled()) setTimeout(look, wait);
})();
