"""What a lifecycle manager asks a node for, by services."""

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState

CONFIGURE, ACTIVATE = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE
DEACTIVATE, CLEANUP = Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP


class Manager:
    """Asks for transitions as a lifecycle manager does."""

    def __init__(self, vehicle, node="/occflow"):
        self.vehicle = vehicle
        self.changes = vehicle.node.create_client(ChangeState, f"{node}/change_state")
        self.states = vehicle.node.create_client(GetState, f"{node}/get_state")

    def ask(self, client, request, meanwhile=lambda: None):
        self.vehicle.wait_until(client.service_is_ready, client.srv_name)
        future = client.call_async(request)
        self.vehicle.wait_until(lambda: (meanwhile(), future.done())[1], "the answer")
        return future.result()

    def change(self, transition, meanwhile=lambda: None):
        request = ChangeState.Request(transition=Transition(id=transition))
        return self.ask(self.changes, request, meanwhile).success

    @property
    def state(self):
        return self.ask(self.states, GetState.Request()).current_state.label
