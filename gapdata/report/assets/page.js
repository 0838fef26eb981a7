/** Brings the page to life: its data, the 3D view, the table, the switches of the gallery. */
function readData(identifier) {
  return JSON.parse(document.getElementById(identifier).textContent);
}

function startPage() {
  const clouds = readData("cloud-data");
  const known = new Set(clouds.map((cloud) => cloud.key));
  const view = clouds.length ? new CloudView(clouds) : null;
  const openCloud = (key) => (known.has(key) ? () => view.openKey(key) : undefined);
  if (document.getElementById("records-table")) new RecordTable(readData("record-data").columns, openCloud);
  for (const button of document.querySelectorAll("button.show-cloud")) {
    const open = openCloud(button.dataset.key);
    if (open) button.addEventListener("click", open);
    else button.hidden = true;
  }
}

startPage();
