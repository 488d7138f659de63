"""A running lab's state for Prometheus: ``switchraft metrics``.

catalogue   every metric: its name, kind, labels, and what it says
gather      asks nodes, switches and the controller
samples     what they said, as samples
exporter    serves them over HTTP
files/      alert rules, a Grafana dashboard, a configuration of Prometheus; `files` writes them where they are wanted
"""
