"""Takes the pictures in this folder from a running `graft up`: python3 shots.py UI_ADDRESS REPORT_HTML OUT_DIR.

Needs selenium, chromium and chromium-driver. The Temporal UI keeps the columns of its lists in the browser,
so they are set there first: the same as clicking them together (docs/guide.md, "The Temporal UI").
"""
import json
import sys
import time

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

ui, report, out = sys.argv[1:4]
options = webdriver.ChromeOptions()
for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
             "--disable-background-networking", "--disable-component-update", "--disable-sync"):
    options.add_argument(flag)
driver = webdriver.Chrome(options, Service("/usr/bin/chromedriver"))

columns = ["Status", "Workflow ID", "GraftVariant", "GraftMethod", "GraftPhase", "GraftStep", "GraftEvalLoss", "GraftBase", "Start"]


def shot(url, name, width, height, wait=5):
    driver.set_window_size(width, height)
    driver.get(url)
    time.sleep(wait)
    driver.save_screenshot(f"{out}/{name}.png")


shot(ui + "/namespaces/default/workflows", "ui-list", 1500, 760)
driver.execute_script("localStorage.setItem('namespace-workflow-table-columns', arguments[0])",
                      json.dumps({"default": [{"label": c} for c in columns]}))
run = ui + "/namespaces/default/workflows/"
shot(ui + "/namespaces/default/workflows?query=WorkflowType%3D%22FineTune%22", "ui-list", 1500, 760)
shot(run + "demo-go-docs", "ui-run", 1400, 900)
# the page redirects to the newest run's timeline; its details are one tab further
timeline = driver.current_url.split("?")[0].rsplit("/", 1)[0]
shot(timeline + "/user-metadata", "ui-details", 1400, 1500)
shot(ui + "/namespaces/default/schedules", "ui-schedules", 1400, 760)
shot("file://" + report, "report", 1100, 1500, 1)
print(timeline)
