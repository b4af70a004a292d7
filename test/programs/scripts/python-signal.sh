# python3: signal.
# expect: 143
# needs: /usr/bin/python3
# limit: 120
/usr/bin/python3 "$SCRIPTS/python-signal.py"
