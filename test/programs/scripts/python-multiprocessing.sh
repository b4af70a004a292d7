# python3: multiprocessing.
# needs: /usr/bin/python3
# limit: 120
/usr/bin/python3 "$SCRIPTS/python-multiprocessing.py"
